// CPU twin: rows of a frame. compose_over treats runs that are opaque or empty apart, which is
// nearly all of a portrait.
#include <algorithm>
#include <cstring>

#include "compose/over_scene.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace vasa_cam::VASA_SIMD_NAMESPACE {

namespace {

constexpr std::int32_t kRun = 16;

// Alpha of all pixels of a run, and-ed and or-ed.
struct RunAlpha {
  std::uint32_t every, any;
};

VASA_HD RunAlpha run_alpha(const std::uint8_t* layer) {
  std::uint32_t pixels[kRun];
  std::memcpy(pixels, layer, sizeof pixels);
  std::uint32_t every = ~0u;
  std::uint32_t any = 0;
  for (std::int32_t i = 0; i < kRun; ++i) {
    every &= pixels[i];
    any |= pixels[i];
  }
  return {every >> 24, any >> 24};
}

// Sixteen RGBA pixels to RGB.
VASA_HD void drop_alpha(const std::uint8_t* from, std::uint8_t* to) {
#if defined(__AVX2__)
  const __m128i order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  __m128i quads[4];
  for (int i = 0; i < 4; ++i) {
    const auto* source = reinterpret_cast<const __m128i*>(from + 16 * i);
    quads[i] = _mm_shuffle_epi8(_mm_loadu_si128(source), order);
  }
  auto* target = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(target, _mm_or_si128(quads[0], _mm_slli_si128(quads[1], 12)));
  _mm_storeu_si128(target + 1,
                   _mm_or_si128(_mm_srli_si128(quads[1], 4), _mm_slli_si128(quads[2], 8)));
  _mm_storeu_si128(target + 2,
                   _mm_or_si128(_mm_srli_si128(quads[2], 8), _mm_slli_si128(quads[3], 4)));
#else
  for (std::int32_t i = 0; i < kRun; ++i) {
    to[3 * i] = from[4 * i];
    to[3 * i + 1] = from[4 * i + 1];
    to[3 * i + 2] = from[4 * i + 2];
  }
#endif
}

void copy_background(const OverScene& s, std::int32_t y, std::int32_t first, std::int32_t end) {
  const std::uint8_t* under = s.background.at(first, y);
  std::uint8_t* out = s.out.at(first, y);
  if (under == out || first >= end) return;
  if (s.background.channels == s.out.channels) {
    std::memcpy(out, under, static_cast<std::size_t>(end - first) * s.out.channels);
    return;
  }
  for (std::int32_t x = first; x < end; ++x) over_scene_pixel(s, x, y);
}

// A run of pixels under the layer.
VASA_HD void over_run(const OverScene& s, std::int32_t x, std::int32_t y, std::int32_t count) {
  const std::uint8_t* layer = s.layer.at(x - s.x, y - s.y);
  if (count == kRun && s.background.channels == s.out.channels) {
    const RunAlpha alpha = run_alpha(layer);
    if (alpha.any == 0) {
      copy_background(s, y, x, x + kRun);
      return;
    }
    if (alpha.every == 255) {
      if (s.out.channels == 4) {
        std::memcpy(s.out.at(x, y), layer, 4 * kRun);
      } else {
        drop_alpha(layer, s.out.at(x, y));
      }
      return;
    }
  }
  for (std::int32_t i = 0; i < count; ++i) over_scene_pixel(s, x + i, y);
}

}  // namespace

void over_rows(const OverScene& s, std::int64_t begin, std::int64_t end) {
  const std::int32_t left = std::clamp(s.x, 0, s.out.width);
  const std::int32_t right = std::clamp(s.x + s.layer.width, left, s.out.width);
  for (auto y = static_cast<std::int32_t>(begin); y < end; ++y) {
    if (y < s.y || y >= s.y + s.layer.height) {
      copy_background(s, y, 0, s.out.width);
      continue;
    }
    copy_background(s, y, 0, left);
    for (std::int32_t x = left; x < right; x += kRun) {
      over_run(s, x, y, std::min(kRun, right - x));
    }
    copy_background(s, y, right, s.out.width);
  }
}

void eye_rows(const EyeScene& scene, const EyeState& state, std::int64_t begin, std::int64_t end) {
  for (auto y = static_cast<std::int32_t>(begin); y < end; ++y) {
    for (std::int32_t x = state.box.x0; x < state.box.x1; ++x) eye_pixel(scene, state, x, y);
  }
}

void mouth_rows(const MouthScene& scene, const MouthState& state, std::int64_t begin,
                std::int64_t end) {
  for (auto y = static_cast<std::int32_t>(begin); y < end; ++y) {
    for (std::int32_t x = state.box.x0; x < state.box.x1; ++x) mouth_pixel(scene, state, x, y);
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
