// The arithmetic of warp_mesh for one vertex, triangle or pixel, shared by the CPU and CUDA twins.
#pragma once

#include <cstdint>

#include "vasa_cam/host_device.h"
#include "vasa_cam/warp_mesh.h"

namespace vasa_cam {

// Least barycentric coordinate of a covered pixel: below 0, so that shared edges leave no gap.
constexpr float kInside = -1e-4f;
// Triangles of a smaller doubled area are skipped; their barycentrics would be noise.
constexpr float kMinArea = 1e-6f;
// Triangles with a vertex beyond this, or not finite, are skipped.
constexpr float kMaxCoordinate = 1e6f;
// Slack of a triangle's box of pixels, so that it holds what kInside lets in.
constexpr float kBoxSlack = 1e-3f;
// Texture coordinate of pixels that no triangle covers: far from every real one.
constexpr float kUncovered = -1e6f;
// The texture is stored with this many repeated texels around it, so that lookups need no clamping
// of their sixteen texels.
constexpr std::int32_t kPad = 4;
// Lookups use 256 steps between two texels: off by at most 1/512 px, 0.3 levels on a hard edge.
constexpr std::int32_t kStepBits = 8;
constexpr std::int32_t kSteps = 1 << kStepBits;
// A shade this close to 1 leaves every byte as it is.
constexpr float kSameShade = 1e-4f;

// One prepared mesh; see WarpTensors.
struct WarpData {
  std::int64_t vertices;
  std::int64_t triangles;
  std::int32_t width;           // of the texture, texels
  std::int32_t height;          //
  std::int64_t stride;          // texels in a padded row
  const float* uv;              // [N, 2]
  const std::int32_t* indices;  // [T, 3]
  const std::uint8_t* texture;  // [Ht + 2 kPad, stride, 4]
  const std::int8_t* detail;    // [Ht + 2 kPad, stride], null for none
  const std::uint8_t* visible;  // [Ht + 2 kPad, stride]: 0 where all sixteen texels are transparent
  const float* across;          // [kSteps, 4, 4] weights of the four columns, each four times
  const float* down;            // [kSteps, 4] weights of the four rows
};

// One vertex as the rasteriser reads it: half a cache line.
struct alignas(32) PackedVertex {
  float x, y, z, u, v, shade, fold;
  float unusable;  // 0, or 1 for a vertex that is not finite or too far away
};

struct WarpFrame {
  WarpData mesh;
  WarpOptions options;
  const float* vertices;    // [N, 3]
  const float* attributes;  // [N, 2]
  PackedVertex* packed;     // [N]
  std::uint8_t* out;        // [H, W, 4]
  std::int32_t width;
  std::int32_t height;
};

VASA_HD float least(float a, float b) { return a < b ? a : b; }
VASA_HD float most(float a, float b) { return a > b ? a : b; }
VASA_HD float magnitude(float a) { return a < 0.0f ? -a : a; }

// A number in 0..255; what is not a number becomes 0.
VASA_HD std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(least(value > 0.0f ? value : 0.0f, 255.0f) + 0.5f);
}

VASA_HD PackedVertex pack_vertex(const WarpFrame& f, std::int64_t index) {
  const float* vertex = f.vertices + 3 * index;
  const float* attribute = f.attributes + 2 * index;
  PackedVertex packed;
  packed.x = vertex[0] - static_cast<float>(f.options.origin_x);
  packed.y = vertex[1] - static_cast<float>(f.options.origin_y);
  packed.z = vertex[2];
  packed.u = f.mesh.uv[2 * index];
  packed.v = f.mesh.uv[2 * index + 1];
  packed.shade = attribute[0];
  packed.fold = attribute[1];
  const bool usable = magnitude(packed.x) <= kMaxCoordinate &&
                      magnitude(packed.y) <= kMaxCoordinate &&
                      magnitude(packed.z) <= kMaxCoordinate;
  packed.unusable = usable ? 0.0f : 1.0f;
  return packed;
}

// Whole pixels from low to high; last < first when there are none.
struct PixelRange {
  std::int32_t first;
  std::int32_t last;
};

// Pixels of 0..count-1 between the smallest and largest of three coordinates.
VASA_HD PixelRange pixel_range(float a, float b, float c, std::int32_t count) {
  const float low = most(least(least(a, b), c) - kBoxSlack, 0.0f);
  const float high = least(most(most(a, b), c) + kBoxSlack, static_cast<float>(count - 1));
  if (!(low <= high)) return {0, -1};
  const auto below = static_cast<std::int32_t>(low);
  return {below + (static_cast<float>(below) < low ? 1 : 0), static_cast<std::int32_t>(high)};
}

// Barycentric coordinates of a point as planes over the screen, seen from vertex a:
// w1 = dx * x1 + dy * y1, w2 = dx * x2 + dy * y2, w0 = 1 - w1 - w2.
struct Barycentric {
  float x1, y1, x2, y2;
  bool usable;
};

VASA_HD Barycentric barycentric(const PackedVertex& a, const PackedVertex& b,
                                const PackedVertex& c) {
  const float bx = b.x - a.x;
  const float by = b.y - a.y;
  const float cx = c.x - a.x;
  const float cy = c.y - a.y;
  const float area = bx * cy - by * cx;
  const float inverse = 1.0f / area;
  return {cy * inverse, -cx * inverse, -by * inverse, bx * inverse, magnitude(area) >= kMinArea};
}

// Texture coordinate in steps of 1/kSteps from the first padded texel; always inside the padding.
VASA_HD std::int32_t texture_steps(float coordinate, std::int32_t texels) {
  const float low = coordinate > -2.0f ? coordinate : -2.0f;
  const float inside = least(low, static_cast<float>(texels + 1));
  return static_cast<std::int32_t>((inside + static_cast<float>(kPad)) * kSteps + 0.5f);
}

// Catmull-Rom weights of the texels at -1, 0, 1, 2 for a position t in 0..1.
VASA_HD void catmull_rom(float t, float* weights) {
  const float t2 = t * t;
  const float t3 = t2 * t;
  weights[0] = 0.5f * (-t3 + 2.0f * t2 - t);
  weights[1] = 0.5f * (3.0f * t3 - 5.0f * t2 + 2.0f);
  weights[2] = 0.5f * (-3.0f * t3 + 4.0f * t2 + t);
  weights[3] = 0.5f * (t3 - t2);
}

// Wrinkle map at padded texture steps, bilinear, -127..127.
VASA_HD float sample_detail(const WarpData& m, std::int32_t across, std::int32_t down) {
  const std::int8_t* texel = m.detail + (down >> kStepBits) * m.stride + (across >> kStepBits);
  const float s = static_cast<float>(across & (kSteps - 1)) * (1.0f / kSteps);
  const float t = static_cast<float>(down & (kSteps - 1)) * (1.0f / kSteps);
  const float top = texel[0] + s * (texel[1] - texel[0]);
  const float bottom = texel[m.stride] + s * (texel[m.stride + 1] - texel[m.stride]);
  return top + t * (bottom - top);
}

// Factor of the colour at a pixel.
VASA_HD float light_of(const WarpData& m, float detail_gain, float shade, float fold,
                       std::int32_t across, std::int32_t down) {
  if (m.detail == nullptr || fold == 0.0f) return shade;
  return shade * (1.0f + detail_gain / 127.0f * fold * sample_detail(m, across, down));
}

// [1 2 1] x [1 2 1] / 16 in premultiplied alpha. pixels: nine RGBA ones, row by row.
VASA_HD void smooth_pixel(const std::uint8_t* pixels, std::uint8_t* out) {
  std::int32_t alpha = 0;
  std::int32_t red = 0;
  std::int32_t green = 0;
  std::int32_t blue = 0;
  for (std::int32_t k = 0; k < 9; ++k) {
    const std::uint8_t* pixel = pixels + 4 * k;
    // 1 2 1, 2 4 2, 1 2 1
    const std::int32_t weight = (k == 4 ? 4 : 2 - (k + 1) % 2) * pixel[3];
    alpha += weight;
    red += weight * pixel[0];
    green += weight * pixel[1];
    blue += weight * pixel[2];
  }
  const std::int32_t shown = (alpha + 8) >> 4;
  const float share = shown == 0 ? 0.0f : 1.0f / static_cast<float>(alpha);
  out[0] = to_byte(static_cast<float>(red) * share);
  out[1] = to_byte(static_cast<float>(green) * share);
  out[2] = to_byte(static_cast<float>(blue) * share);
  out[3] = static_cast<std::uint8_t>(shown);
}

}  // namespace vasa_cam
