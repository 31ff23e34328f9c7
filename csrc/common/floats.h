// As many float32 numbers as the instruction set works on at once, loaded from and stored to f32,
// f16 and bf16 arrays. For SIMD_SOURCES only.
#pragma once

#include "common/half.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace vasa_cam::VASA_SIMD_NAMESPACE {

#if defined(__AVX512F__)

constexpr std::int64_t kFloats = 16;
using Floats = __m512;
// The forms with a mask, which the compiler drops: the plain ones of GCC 12's header set off a
// false warning about uninitialised memory.
constexpr __mmask16 kEveryFloat = 0xffff;

VASA_HD Floats all_floats(float value) { return _mm512_set1_ps(value); }
VASA_HD Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
VASA_HD Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
VASA_HD Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
VASA_HD Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
// These two give b where one is NaN.
VASA_HD Floats maximum(Floats a, Floats b) { return _mm512_maskz_max_ps(kEveryFloat, a, b); }
VASA_HD Floats minimum(Floats a, Floats b) { return _mm512_maskz_min_ps(kEveryFloat, a, b); }
VASA_HD Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
VASA_HD Floats lowest_bits_to_exponent(Floats value) {
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kEveryFloat, _mm512_castps_si512(value), 23));
}

VASA_HD Floats floats_of(__m256i half_bits) {
  return _mm512_maskz_cvtph_ps(kEveryFloat, half_bits);
}
VASA_HD Floats floats_of_upper(__m256i upper_bits) {
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(kEveryFloat, upper_bits);
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kEveryFloat, wide, 16));
}
VASA_HD __m256i half_bits_of(Floats value) {
  return _mm512_maskz_cvtps_ph(kEveryFloat, value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
VASA_HD __m256i upper_bits_of(Floats value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i upper = _mm512_maskz_srli_epi32(kEveryFloat, bits, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i rounding = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
  __m512i result = _mm512_maskz_srli_epi32(kEveryFloat, _mm512_add_epi32(bits, rounding), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  result = _mm512_mask_or_epi32(result, nan, upper, _mm512_set1_epi32(0x40));
  return _mm512_maskz_cvtepi32_epi16(kEveryFloat, result);
}

VASA_HD __mmask16 first_floats(std::int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}
VASA_HD __m256i load_words(const void* at) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}
VASA_HD void store_words(void* at, __m256i words) {
  _mm256_storeu_si256(static_cast<__m256i*>(at), words);
}
// The first `count` (less than kFloats); the others are zero, or are not written.
VASA_HD Floats load_first(const float* at, std::int64_t count) {
  return _mm512_maskz_loadu_ps(first_floats(count), at);
}
VASA_HD Floats load_first(const Half* at, std::int64_t count) {
  return floats_of(_mm256_maskz_loadu_epi16(first_floats(count), at));
}
VASA_HD Floats load_first(const BFloat16* at, std::int64_t count) {
  return floats_of_upper(_mm256_maskz_loadu_epi16(first_floats(count), at));
}
VASA_HD void store_first(float* at, std::int64_t count, Floats value) {
  _mm512_mask_storeu_ps(at, first_floats(count), value);
}
VASA_HD void store_first(Half* at, std::int64_t count, Floats value) {
  _mm256_mask_storeu_epi16(at, first_floats(count), half_bits_of(value));
}
VASA_HD void store_first(BFloat16* at, std::int64_t count, Floats value) {
  _mm256_mask_storeu_epi16(at, first_floats(count), upper_bits_of(value));
}

VASA_HD Floats load_floats(const float* at) { return _mm512_loadu_ps(at); }
VASA_HD void store_floats(float* at, Floats value) { _mm512_storeu_ps(at, value); }

#elif defined(__AVX2__)

constexpr std::int64_t kFloats = 8;
using Floats = __m256;

VASA_HD Floats all_floats(float value) { return _mm256_set1_ps(value); }
VASA_HD Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
VASA_HD Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
VASA_HD Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
VASA_HD Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
VASA_HD Floats maximum(Floats a, Floats b) { return _mm256_max_ps(a, b); }
VASA_HD Floats minimum(Floats a, Floats b) { return _mm256_min_ps(a, b); }
VASA_HD Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
VASA_HD Floats lowest_bits_to_exponent(Floats value) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(value), 23));
}

VASA_HD Floats floats_of(__m128i half_bits) { return _mm256_cvtph_ps(half_bits); }
VASA_HD Floats floats_of_upper(__m128i upper_bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(upper_bits), 16));
}
VASA_HD __m128i half_bits_of(Floats value) {
  return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
VASA_HD __m128i upper_bits_of(Floats value) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i rounding = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, rounding), 16);
  const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  const __m256i words = _mm256_blendv_epi8(rounded, quiet, nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

VASA_HD __m128i load_words(const void* at) {
  return _mm_loadu_si128(static_cast<const __m128i*>(at));
}
VASA_HD void store_words(void* at, __m128i words) {
  _mm_storeu_si128(static_cast<__m128i*>(at), words);
}

VASA_HD Floats load_floats(const float* at) { return _mm256_loadu_ps(at); }
VASA_HD void store_floats(float* at, Floats value) { _mm256_storeu_ps(at, value); }

#elif defined(__GNUC__) || defined(__clang__)

constexpr std::int64_t kFloats = 4;
typedef float Floats __attribute__((vector_size(16)));

VASA_HD Floats all_floats(float value) { return Floats{value, value, value, value}; }
VASA_HD Floats add(Floats a, Floats b) { return a + b; }
VASA_HD Floats subtract(Floats a, Floats b) { return a - b; }
VASA_HD Floats multiply(Floats a, Floats b) { return a * b; }
VASA_HD Floats fused(Floats a, Floats b, Floats c) { return a * b + c; }
VASA_HD Floats maximum(Floats a, Floats b) { return a > b ? a : b; }
VASA_HD Floats minimum(Floats a, Floats b) { return a < b ? a : b; }
VASA_HD Floats divide(Floats a, Floats b) { return a / b; }
VASA_HD Floats lowest_bits_to_exponent(Floats value) {
  typedef std::uint32_t Bits __attribute__((vector_size(16)));
  return reinterpret_cast<Floats>(reinterpret_cast<Bits>(value) << 23);
}
VASA_HD Floats load_floats(const float* at) {
  Floats value;
  memcpy(&value, at, sizeof value);
  return value;
}
VASA_HD void store_floats(float* at, Floats value) { memcpy(at, &value, sizeof value); }

#else

constexpr std::int64_t kFloats = 1;
using Floats = float;

VASA_HD Floats all_floats(float value) { return value; }
VASA_HD Floats add(Floats a, Floats b) { return a + b; }
VASA_HD Floats subtract(Floats a, Floats b) { return a - b; }
VASA_HD Floats multiply(Floats a, Floats b) { return a * b; }
VASA_HD Floats fused(Floats a, Floats b, Floats c) { return a * b + c; }
VASA_HD Floats maximum(Floats a, Floats b) { return a > b ? a : b; }
VASA_HD Floats minimum(Floats a, Floats b) { return a < b ? a : b; }
VASA_HD Floats divide(Floats a, Floats b) { return a / b; }
VASA_HD Floats lowest_bits_to_exponent(Floats value) {
  return float_of_bits(bits_of_float(value) << 23);
}
VASA_HD Floats load_floats(const float* at) { return *at; }
VASA_HD void store_floats(float* at, Floats value) { *at = value; }

#endif

#if defined(__AVX2__)

VASA_HD Floats load_floats(const Half* at) { return floats_of(load_words(at)); }
VASA_HD Floats load_floats(const BFloat16* at) { return floats_of_upper(load_words(at)); }
VASA_HD void store_floats(Half* at, Floats value) { store_words(at, half_bits_of(value)); }
VASA_HD void store_floats(BFloat16* at, Floats value) { store_words(at, upper_bits_of(value)); }

#else

template <class T>
VASA_HD Floats load_floats(const T* at) {
  float values[kFloats];
  for (std::int64_t lane = 0; lane < kFloats; ++lane) values[lane] = to_float(at[lane]);
  return load_floats(static_cast<const float*>(values));
}
template <class T>
VASA_HD void store_floats(T* at, Floats value) {
  float values[kFloats];
  store_floats(static_cast<float*>(values), value);
  for (std::int64_t lane = 0; lane < kFloats; ++lane) at[lane] = from_float<T>(values[lane]);
}

#endif
#if !defined(__AVX512F__)

// The first `count` (less than kFloats); the others are zero, or are not written.
template <class T>
VASA_HD Floats load_first(const T* at, std::int64_t count) {
  float values[kFloats] = {};
  for (std::int64_t lane = 0; lane < count; ++lane) values[lane] = to_float(at[lane]);
  return load_floats(static_cast<const float*>(values));
}
template <class T>
VASA_HD void store_first(T* at, std::int64_t count, Floats value) {
  float values[kFloats];
  store_floats(static_cast<float*>(values), value);
  for (std::int64_t lane = 0; lane < count; ++lane) at[lane] = from_float<T>(values[lane]);
}

#endif

// e^x to a relative error of 2e-7; beyond -87 and 88 it stays as it is there. NaN stays NaN.
VASA_HD Floats exponential(Floats x) {
  const Floats t = minimum(all_floats(88.0f), maximum(all_floats(-87.0f), x));
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the lowest bits; 127 more make it
  // the exponent of a float.
  const Floats rounder = all_floats(12582912.0f + 127.0f);
  const Floats shifted = fused(t, all_floats(1.44269504f), rounder);
  const Floats whole = subtract(shifted, rounder);
  // ln 2 in two parts, the first of which is exact when multiplied.
  const Floats upper = fused(whole, all_floats(-0.693359375f), t);
  const Floats rest = fused(whole, all_floats(2.12194440e-4f), upper);
  // Taylor's series: |rest| is at most ln 2 / 2.
  Floats power = fused(all_floats(1.0f / 5040.0f), rest, all_floats(1.0f / 720.0f));
  power = fused(power, rest, all_floats(1.0f / 120.0f));
  power = fused(power, rest, all_floats(1.0f / 24.0f));
  power = fused(power, rest, all_floats(1.0f / 6.0f));
  power = fused(power, rest, all_floats(0.5f));
  power = fused(power, rest, all_floats(1.0f));
  power = fused(power, rest, all_floats(1.0f));
  return multiply(power, lowest_bits_to_exponent(shifted));
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
