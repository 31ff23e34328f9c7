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

// Four floats R, G, B, A to bytes; alpha is not lit. What is not a number becomes 0.
VASA_HD std::uint32_t lit_bytes(__m128 colour, float light) {
  const __m128 factor = _mm_setr_ps(light, light, light, 1.0f);
  // max() returns its second operand when the first is not a number.
  const __m128 positive = _mm_max_ps(_mm_mul_ps(colour, factor), _mm_setzero_ps());
  const __m128 limited = _mm_min_ps(positive, _mm_set1_ps(255.0f));
  const __m128i whole = _mm_cvttps_epi32(_mm_add_ps(limited, _mm_set1_ps(0.5f)));
  const __m128i words = _mm_packus_epi32(whole, whole);
  const auto pixel = static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
  return (pixel >> 24) != 0 ? pixel : 0u;
}

#endif

#if defined(__AVX512F__)

// across: the weights of the four columns, each four times. down: the weights of the four rows.
VASA_HD std::uint32_t sample_texels(const std::uint8_t* block, std::int64_t row_bytes,
                                    const float* across, const float* down, float light) {
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
  return lit_bytes(_mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)),
                   light);
}

#elif defined(__AVX2__)

VASA_HD std::uint32_t sample_texels(const std::uint8_t* block, std::int64_t row_bytes,
                                    const float* across, const float* down, float light) {
  __m256 left = _mm256_setzero_ps();
  __m256 right = _mm256_setzero_ps();
  for (int j = 0; j < 4; ++j) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + j * row_bytes));
    const __m256 weight = _mm256_set1_ps(down[j]);
    left = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), weight, left);
    right = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))),
                            weight, right);
  }
  const __m256 halves = _mm256_fmadd_ps(left, _mm256_loadu_ps(across),
                                        _mm256_mul_ps(right, _mm256_loadu_ps(across + 8)));
  return lit_bytes(_mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)),
                   light);
}

#else

VASA_HD std::uint32_t sample_texels(const std::uint8_t* block, std::int64_t row_bytes,
                                    const float* across, const float* down, float light) {
  float columns[16] = {};
  for (int j = 0; j < 4; ++j) {
    const std::uint8_t* texels = block + j * row_bytes;
    for (int i = 0; i < 16; ++i) columns[i] += down[j] * static_cast<float>(texels[i]);
  }
  float colour[4];
  for (int channel = 0; channel < 4; ++channel) {
    colour[channel] = across[0] * columns[channel] + across[4] * columns[channel + 4] +
                      across[8] * columns[channel + 8] + across[12] * columns[channel + 12];
  }
  const std::uint8_t bytes[4] = {to_byte(colour[0] * light), to_byte(colour[1] * light),
                                 to_byte(colour[2] * light), to_byte(colour[3])};
  std::uint32_t pixel = 0;
  std::memcpy(&pixel, bytes, 4);
  return bytes[3] != 0 ? pixel : 0u;
}

#endif

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
