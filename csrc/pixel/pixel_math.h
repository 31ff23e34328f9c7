// The arithmetic of colour conversion, once for every twin: integers, so that all of them agree to
// the last bit.
#pragma once

#include <cstdint>

#include "vasa_cam/host_device.h"
#include "vasa_cam/pixel.h"

namespace vasa_cam {

// Weights of R, G, B scaled by 2^15, which keeps each within a signed 16-bit multiplication.
struct YuvMatrix {
  std::int16_t luma[3];
  std::int16_t blue[3];  // U, Cb; sums to zero, so that greys stay exactly neutral
  std::int16_t red[3];   // V, Cr; likewise
};

constexpr int kLumaShift = 15;
constexpr int kChromaShift = 17;  // 15, and 2 for the mean of four pixels

constexpr std::int16_t fixed_point(double value) {
  return static_cast<std::int16_t>(value * 32768.0 + (value < 0 ? -0.5 : 0.5));
}

// kr, kb: the luma weights of red and blue that define a standard.
constexpr YuvMatrix make_matrix(double kr, double kb) {
  constexpr double luma_range = 219.0 / 255.0;
  constexpr double chroma_range = 224.0 / 255.0;
  const std::int16_t half = fixed_point(0.5 * chroma_range);
  const std::int16_t blue_of_red = fixed_point(-0.5 * kr / (1.0 - kb) * chroma_range);
  const std::int16_t red_of_blue = fixed_point(-0.5 * kb / (1.0 - kr) * chroma_range);
  return {{fixed_point(kr * luma_range), fixed_point((1.0 - kr - kb) * luma_range),
           fixed_point(kb * luma_range)},
          {blue_of_red, static_cast<std::int16_t>(-half - blue_of_red), half},
          {half, static_cast<std::int16_t>(-half - red_of_blue), red_of_blue}};
}

constexpr YuvMatrix matrix_of(ColourMatrix matrix) {
  return matrix == ColourMatrix::bt601 ? make_matrix(0.299, 0.114) : make_matrix(0.2126, 0.0722);
}

struct PixelParams {
  const std::uint8_t* source;    // [height, width, source_channels]
  std::uint8_t* target;          // layout given by format
  std::int64_t width;            // pixels
  std::int64_t height;           // pixels
  std::int32_t source_channels;  // 3 or 4
  PixelFormat format;            //
  YuvMatrix matrix;              // only for i420 and nv12
};

VASA_HD std::uint8_t luma_of(const YuvMatrix& matrix, int r, int g, int b) {
  const int sum = matrix.luma[0] * r + matrix.luma[1] * g + matrix.luma[2] * b;
  return static_cast<std::uint8_t>(16 + ((sum + (1 << (kLumaShift - 1))) >> kLumaShift));
}

// r, g, b: sums over the 2x2 pixels.
VASA_HD std::uint8_t chroma_of(const std::int16_t* weights, int r, int g, int b) {
  const int sum = weights[0] * r + weights[1] * g + weights[2] * b;
  return static_cast<std::uint8_t>(128 + ((sum + (1 << (kChromaShift - 1))) >> kChromaShift));
}

// Where the planes of a 4:2:0 frame begin and how far apart two samples of chroma are.
struct ChromaLayout {
  std::uint8_t* blue;
  std::uint8_t* red;
  std::int64_t step;    // bytes between neighbours
  std::int64_t stride;  // bytes between rows
};

VASA_HD ChromaLayout chroma_layout(const PixelParams& p) {
  std::uint8_t* chroma = p.target + p.width * p.height;
  if (p.format == PixelFormat::nv12) return {chroma, chroma + 1, 2, p.width};
  return {chroma, chroma + (p.width / 2) * (p.height / 2), 1, p.width / 2};
}

// Luma of the four pixels and chroma of the block whose top left pixel is (x, y), both even.
VASA_HD void convert_block(const PixelParams& p, const ChromaLayout& chroma, std::int64_t x,
                           std::int64_t y) {
  int r = 0;
  int g = 0;
  int b = 0;
  for (int dy = 0; dy < 2; ++dy) {
    for (int dx = 0; dx < 2; ++dx) {
      const std::int64_t index = (y + dy) * p.width + x + dx;
      const std::uint8_t* colour = p.source + index * p.source_channels;
      p.target[index] = luma_of(p.matrix, colour[0], colour[1], colour[2]);
      r += colour[0];
      g += colour[1];
      b += colour[2];
    }
  }
  const std::int64_t offset = (y / 2) * chroma.stride + (x / 2) * chroma.step;
  chroma.blue[offset] = chroma_of(p.matrix.blue, r, g, b);
  chroma.red[offset] = chroma_of(p.matrix.red, r, g, b);
}

VASA_HD bool is_planar(PixelFormat format) {
  return format == PixelFormat::i420 || format == PixelFormat::nv12;
}

VASA_HD int packed_channels(PixelFormat format) {
  return format == PixelFormat::rgb || format == PixelFormat::bgr ? 3 : 4;
}

VASA_HD bool blue_first(PixelFormat format) {
  return format == PixelFormat::bgr || format == PixelFormat::bgra;
}

VASA_HD void reorder_pixel(const PixelParams& p, std::int64_t index) {
  const int channels = packed_channels(p.format);
  const std::uint8_t* from = p.source + index * p.source_channels;
  std::uint8_t* to = p.target + index * channels;
  const std::uint8_t alpha = p.source_channels == 4 ? from[3] : std::uint8_t{255};
  const bool swap = blue_first(p.format);
  const std::uint8_t first = swap ? from[2] : from[0];
  const std::uint8_t third = swap ? from[0] : from[2];
  to[0] = first;
  to[1] = from[1];
  to[2] = third;
  if (channels == 4) to[3] = alpha;
}

}  // namespace vasa_cam
