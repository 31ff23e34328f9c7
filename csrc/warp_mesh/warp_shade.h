// Texture lookup of the CPU twin, a row at a time in blocks of sixteen pixels.
#pragma once

#include <algorithm>
#include <cstring>

#include "warp_mesh/texel_lookup.h"
#include "warp_mesh/warp_band.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

// Pixels that are judged together: all empty, all copied, or each looked up.
constexpr std::int32_t kBlock = 16;
static_assert(kBlock <= kRowSlack, "a block may run over the end of a row");

// Where the pixels of a block look the texture up.
struct BlockSteps {
  alignas(64) std::int32_t across[kBlock];
  alignas(64) std::int32_t down[kBlock];
  alignas(64) std::int32_t cell[kBlock];  // texel at the whole step, in the padded texture
};

VASA_HD void find_steps(const WarpData& m, const float* u, const float* v, BlockSteps& steps) {
  const auto stride = static_cast<std::int32_t>(m.stride);
  for (std::int32_t i = 0; i < kBlock; ++i) {
    steps.across[i] = texture_steps(u[i], m.width);
    steps.down[i] = texture_steps(v[i], m.height);
    steps.cell[i] = (steps.down[i] >> kStepBits) * stride + (steps.across[i] >> kStepBits);
  }
}

// Whether the pixels show neighbouring texels as they are.
VASA_HD bool is_copy(const BlockSteps& steps, const float* shade, const float* fold) {
  std::int32_t changed = (steps.across[0] | steps.down[0]) & (kSteps - 1);
  for (std::int32_t i = 0; i < kBlock; ++i) {
    changed |= (steps.across[i] - steps.across[0] - i * kSteps) | (steps.down[i] - steps.down[0]);
    changed |= magnitude(shade[i] - 1.0f) < kSameShade ? 0 : 1;
    changed |= fold[i] == 0.0f ? 0 : 1;
  }
  return changed == 0;
}

// Transparent pixels have no colour, whatever the texture holds there.
VASA_HD void clear_transparent(std::uint32_t* colour) {
  for (std::int32_t i = 0; i < kBlock; ++i) colour[i] = (colour[i] >> 24) != 0 ? colour[i] : 0u;
}

VASA_HD Colour look_up(const WarpFrame& f, const BlockSteps& steps, std::int32_t i, float shade,
                       float fold) {
  const WarpData& m = f.mesh;
  const std::int32_t cell = steps.cell[i];
  if (m.visible[cell] == 0) return no_colour();
  const float light =
      light_of(m, f.options.detail_gain, shade, fold, steps.across[i], steps.down[i]);
  return lit(sample_texels(m.texture + 4 * (cell - m.stride - 1), 4 * m.stride,
                           m.across + 16 * (steps.across[i] & (kSteps - 1)),
                           m.down + 4 * (steps.down[i] & (kSteps - 1))),
             light);
}

// Colours of row y, RGBA; only of pixels whose bit is set in `wanted`, unless it is null.
inline void shade_row(const WarpFrame& f, const WarpBand& band, std::int32_t y,
                      const std::uint64_t* wanted) {
  const std::int64_t plane = band.plane_row(y);
  const float* VASA_RESTRICT u = band.u + plane;
  const float* VASA_RESTRICT v = band.v + plane;
  const float* VASA_RESTRICT shade = band.shade + plane;
  const float* VASA_RESTRICT fold = band.fold + plane;
  std::uint32_t* VASA_RESTRICT colour = band.colour + band.row(y);
  BlockSteps steps;
  for (std::int32_t x = 0; x < f.width; x += kBlock) {
    const std::uint64_t chosen = wanted == nullptr ? ~0ull : wanted[x / 64] >> (x % 64);
    if ((chosen & 0xffff) == 0) continue;
    std::int32_t covered = 0;
    for (std::int32_t i = 0; i < kBlock; ++i) covered += u[x + i] > 0.5f * kUncovered ? 1 : 0;
    if (covered == 0) {
      std::fill_n(colour + x, kBlock, 0u);
      continue;
    }
    find_steps(f.mesh, u + x, v + x, steps);
    if (covered == kBlock && is_copy(steps, shade + x, fold + x)) {
      std::memcpy(colour + x, f.mesh.texture + 4 * static_cast<std::int64_t>(steps.cell[0]),
                  4 * kBlock);
      clear_transparent(colour + x);
      continue;
    }
    for (std::int32_t first = x; first < x + kBlock; first += 4) {
      Colour four[4];
      for (std::int32_t i = 0; i < 4; ++i) {
        const std::int32_t at = first + i;
        const bool shown = ((chosen >> (at - x)) & 1) != 0 && u[at] > 0.5f * kUncovered;
        four[i] = shown ? look_up(f, steps, at - x, shade[at], fold[at]) : no_colour();
      }
      store_four(four, colour + first);
    }
    clear_transparent(colour + x);
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
