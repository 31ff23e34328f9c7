// From the decoder's twelve numbers of a cell to 2x2 pixels of three colours.
#pragma once

#include <cstdint>

#include "pixel/pixel_math.h"
#include "sampler/sampler_math.h"
#include "vasa_cam/host_device.h"
#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// Numbers of a cell: colour * 4 + row * 2 + column.
constexpr int kCellNumbers = 12;

struct TailParams {
  const void* x;      // [images, height, width, stride], twelve numbers and what may follow
  std::uint8_t* out;  // [images, picture_bytes()]
  std::int64_t images;
  std::int64_t height;  // cells
  std::int64_t width;   // cells
  std::int64_t stride;  // numbers from one cell to the next
  bool planar;          // i420 rather than rgb
  YuvMatrix matrix;     // only for i420
  DType dtype;
};

// Of one image in `out`.
VASA_HD std::int64_t picture_bytes(const TailParams& p) {
  return (p.planar ? 6 : 12) * p.height * p.width;
}

VASA_HD std::uint8_t level_of(float x) {
  const float divisor = 1.0f + power_of_two(-kLog2E * x);
#if defined(__CUDA_ARCH__)
  // Off by 3e-5 levels at most, and zero where the divisor is larger than 2^126.
  const float level = __fdividef(255.0f, divisor);
#else
  const float level = 255.0f / divisor;
#endif
  // False for NaN, which becomes black; no sigmoid is above 1.
  return static_cast<std::uint8_t>(static_cast<int>(level > 0.0f ? level : 0.0f));
}

// The cell (y, x) of an image, from its twelve levels to wherever they belong in `out`.
VASA_HD void put_rgb(const TailParams& p, std::uint8_t* out, std::int64_t y, std::int64_t x,
                     const std::uint8_t* levels) {
  for (int row = 0; row < 2; ++row) {
    std::uint8_t* pixels = out + ((2 * y + row) * 2 * p.width + 2 * x) * 3;
    for (int column = 0; column < 2; ++column) {
      for (int colour = 0; colour < 3; ++colour) {
        pixels[column * 3 + colour] = levels[colour * 4 + row * 2 + column];
      }
    }
  }
}

VASA_HD void put_i420(const TailParams& p, std::uint8_t* out, std::int64_t y, std::int64_t x,
                      const std::uint8_t* levels) {
  const std::int64_t cells = p.height * p.width;
  int sums[3] = {0, 0, 0};
  for (int at = 0; at < 4; ++at) {
    const int r = levels[at];
    const int g = levels[4 + at];
    const int b = levels[8 + at];
    out[(2 * y + at / 2) * 2 * p.width + 2 * x + at % 2] = luma_of(p.matrix, r, g, b);
    sums[0] += r;
    sums[1] += g;
    sums[2] += b;
  }
  std::uint8_t* chroma = out + 4 * cells + y * p.width + x;
  chroma[0] = chroma_of(p.matrix.blue, sums[0], sums[1], sums[2]);
  chroma[cells] = chroma_of(p.matrix.red, sums[0], sums[1], sums[2]);
}

}  // namespace vasa_cam
