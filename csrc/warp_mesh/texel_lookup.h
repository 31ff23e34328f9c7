// Bicubic lookup of one pixel: sixteen RGBA texels to one, for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "vasa_cam/host_device.h"
#include "warp_mesh/warp_math.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace vasa_cam::VASA_SIMD_NAMESPACE {

#if defined(__AVX2__)

// R, G, B, A.
using Colour = __m128;

VASA_HD Colour no_colour() { return _mm_setzero_ps(); }

// Alpha is not lit.
VASA_HD Colour lit(Colour colour, float light) {
  return _mm_blend_ps(_mm_mul_ps(colour, _mm_set1_ps(light)), colour, 0b1000);
}

// Four colours as bytes: the nearest ones in 0..255, what is not a number as 0.
VASA_HD void store_four(const Colour* colours, std::uint32_t* out) {
  const auto whole = [&](int i) {
    // Beyond 255 only the saturation below matters, but 3e9 would not fit an integer.
    const __m128 limited = _mm_min_ps(_mm_set1_ps(255.0f), colours[i]);
    return _mm_cvttps_epi32(_mm_add_ps(limited, _mm_set1_ps(0.5f)));
  };
  const __m128i low = _mm_packus_epi32(whole(0), whole(1));
  const __m128i high = _mm_packus_epi32(whole(2), whole(3));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(low, high));
}

#endif

#if defined(__AVX512F__)

// across: the weights of the four columns, each four times. down: the weights of the four rows.
VASA_HD Colour sample_texels(const std::uint8_t* block, std::int64_t row_bytes, const float* across,
                             const float* down) {
  // The unmasked forms make GCC 12 warn about its own header.
  constexpr __mmask16 kAll = 0xffff;
  const auto row = [&](int j) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + j * row_bytes));
    return _mm512_maskz_cvtepi32_ps(kAll, _mm512_maskz_cvtepu8_epi32(kAll, bytes));
  };
  const __m512 upper = _mm512_fmadd_ps(row(0), _mm512_set1_ps(down[0]),
                                       _mm512_mul_ps(row(1), _mm512_set1_ps(down[1])));
  const __m512 lower = _mm512_fmadd_ps(row(2), _mm512_set1_ps(down[2]),
                                       _mm512_mul_ps(row(3), _mm512_set1_ps(down[3])));
  const __m512 columns = _mm512_mul_ps(_mm512_add_ps(upper, lower), _mm512_loadu_ps(across));
  const __m256 halves = _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, columns, 0),
                                      _mm512_maskz_extractf32x8_ps(0xff, columns, 1));
  return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}

#elif defined(__AVX2__)

VASA_HD Colour sample_texels(const std::uint8_t* block, std::int64_t row_bytes, const float* across,
                             const float* down) {
  __m256 left = _mm256_setzero_ps();
  __m256 right = _mm256_setzero_ps();
  for (int j = 0; j < 4; ++j) {
    const auto half = [&](int offset) {
      const auto* texels = reinterpret_cast<const __m128i*>(block + j * row_bytes + offset);
      return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(texels)));
    };
    const __m256 weight = _mm256_set1_ps(down[j]);
    left = _mm256_fmadd_ps(half(0), weight, left);
    right = _mm256_fmadd_ps(half(8), weight, right);
  }
  const __m256 halves = _mm256_fmadd_ps(left, _mm256_loadu_ps(across),
                                        _mm256_mul_ps(right, _mm256_loadu_ps(across + 8)));
  return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}

#else

struct Colour {
  float channels[4];
};

VASA_HD Colour no_colour() { return {}; }

VASA_HD Colour lit(Colour colour, float light) {
  for (int c = 0; c < 3; ++c) colour.channels[c] *= light;
  return colour;
}

VASA_HD void store_four(const Colour* colours, std::uint32_t* out) {
  for (int i = 0; i < 4; ++i) {
    std::uint8_t bytes[4];
    for (int c = 0; c < 4; ++c) bytes[c] = to_byte(colours[i].channels[c]);
    std::memcpy(out + i, bytes, 4);
  }
}

VASA_HD Colour sample_texels(const std::uint8_t* block, std::int64_t row_bytes, const float* across,
                             const float* down) {
  float columns[16] = {};
  for (int j = 0; j < 4; ++j) {
    const std::uint8_t* texels = block + j * row_bytes;
    for (int i = 0; i < 16; ++i) columns[i] += down[j] * static_cast<float>(texels[i]);
  }
  Colour colour;
  for (int c = 0; c < 4; ++c) {
    colour.channels[c] = across[0] * columns[c] + across[4] * columns[c + 4] +
                         across[8] * columns[c + 8] + across[12] * columns[c + 12];
  }
  return colour;
}

#endif

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
