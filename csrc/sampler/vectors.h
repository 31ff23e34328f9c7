// As many floats as the instruction set works on at once, for the network's products.
#pragma once

#include "sampler/sampler_data.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace vasa_cam::VASA_SIMD_NAMESPACE {

// exponents_of() moves the lowest nine bits to the sign and the exponent. kRows x kColumns vectors
// of sums stay in registers during a product.
#if defined(__AVX512F__)

constexpr std::int64_t kLanes = 16;
constexpr int kRows = 14;
constexpr int kColumns = 2;
using Vector = __m512;
// The forms with a mask, which the compiler drops: the plain ones of GCC 12's header set off a
// false warning about uninitialised memory.
constexpr __mmask16 kAll = 0xffff;

VASA_HD Vector all(float value) { return _mm512_set1_ps(value); }
VASA_HD Vector load(const float* at) { return _mm512_loadu_ps(at); }
VASA_HD void store(float* at, Vector value) { _mm512_storeu_ps(at, value); }
VASA_HD Vector plus(Vector a, Vector b) { return _mm512_add_ps(a, b); }
VASA_HD Vector minus(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
VASA_HD Vector times(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
VASA_HD Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
// These two give b where one is NaN.
VASA_HD Vector smaller(Vector a, Vector b) { return _mm512_maskz_min_ps(kAll, a, b); }
VASA_HD Vector larger(Vector a, Vector b) { return _mm512_maskz_max_ps(kAll, a, b); }
VASA_HD Vector exponents_of(Vector value) {
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, _mm512_castps_si512(value), 23));
}
VASA_HD Vector reciprocal(Vector value) {
  const Vector first = _mm512_maskz_rcp14_ps(kAll, value);
  return times(first, _mm512_fnmadd_ps(value, first, all(2.0f)));
}

#elif defined(__AVX2__)

constexpr std::int64_t kLanes = 8;
constexpr int kRows = 6;
constexpr int kColumns = 2;
using Vector = __m256;

VASA_HD Vector all(float value) { return _mm256_set1_ps(value); }
VASA_HD Vector load(const float* at) { return _mm256_loadu_ps(at); }
VASA_HD void store(float* at, Vector value) { _mm256_storeu_ps(at, value); }
VASA_HD Vector plus(Vector a, Vector b) { return _mm256_add_ps(a, b); }
VASA_HD Vector minus(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
VASA_HD Vector times(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
VASA_HD Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
VASA_HD Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }
VASA_HD Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
VASA_HD Vector exponents_of(Vector value) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(value), 23));
}
VASA_HD Vector reciprocal(Vector value) {
  const Vector first = _mm256_rcp_ps(value);
  return times(first, _mm256_fnmadd_ps(value, first, all(2.0f)));
}

#elif defined(__GNUC__) || defined(__clang__)

constexpr std::int64_t kLanes = 4;
constexpr int kRows = 6;
constexpr int kColumns = 2;
typedef float Vector __attribute__((vector_size(16)));
typedef std::uint32_t Bits __attribute__((vector_size(16)));

VASA_HD Vector all(float value) { return Vector{value, value, value, value}; }
VASA_HD Vector load(const float* at) {
  Vector value;
  memcpy(&value, at, sizeof value);
  return value;
}
VASA_HD void store(float* at, Vector value) { memcpy(at, &value, sizeof value); }
VASA_HD Vector plus(Vector a, Vector b) { return a + b; }
VASA_HD Vector minus(Vector a, Vector b) { return a - b; }
VASA_HD Vector times(Vector a, Vector b) { return a * b; }
VASA_HD Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
VASA_HD Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
VASA_HD Vector larger(Vector a, Vector b) { return a > b ? a : b; }
VASA_HD Vector exponents_of(Vector value) {
  return reinterpret_cast<Vector>(reinterpret_cast<Bits>(value) << 23);
}
VASA_HD Vector reciprocal(Vector value) { return 1.0f / value; }

#else

constexpr std::int64_t kLanes = 1;
constexpr int kRows = 4;
constexpr int kColumns = 4;
using Vector = float;

VASA_HD Vector all(float value) { return value; }
VASA_HD Vector load(const float* at) { return *at; }
VASA_HD void store(float* at, Vector value) { *at = value; }
VASA_HD Vector plus(Vector a, Vector b) { return a + b; }
VASA_HD Vector minus(Vector a, Vector b) { return a - b; }
VASA_HD Vector times(Vector a, Vector b) { return a * b; }
VASA_HD Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
VASA_HD Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
VASA_HD Vector larger(Vector a, Vector b) { return a > b ? a : b; }
VASA_HD Vector exponents_of(Vector value) { return float_of(bits_of(value) << 23); }
VASA_HD Vector reciprocal(Vector value) { return 1.0f / value; }

#endif

// power_of_two() of every lane.
VASA_HD Vector powers_of_two(Vector x) {
  const Vector t = smaller(all(kPowerMax), larger(all(kPowerMin), x));
  const Vector shifted = plus(t, all(kRounder));
  const Vector f = minus(t, minus(shifted, all(kRounder)));
  Vector power = multiply_add(all(kPower5), f, all(kPower4));
  power = multiply_add(power, f, all(kPower3));
  power = multiply_add(power, f, all(kPower2));
  power = multiply_add(power, f, all(kPower1));
  return times(multiply_add(power, f, all(1.0f)), exponents_of(shifted));
}

VASA_HD Vector silus(Vector x) {
  return times(x, reciprocal(plus(all(1.0f), powers_of_two(times(all(-kLog2E), x)))));
}

// gelu() of every lane.
VASA_HD Vector gelus(Vector x) {
  const Vector size = larger(minus(all(0.0f), x), x);
  const Vector t = reciprocal(multiply_add(all(kErfcRate * kRootHalf), size, all(1.0f)));
  Vector sum = multiply_add(all(kErfc8), t, all(kErfc7));
  sum = multiply_add(sum, t, all(kErfc6));
  sum = multiply_add(sum, t, all(kErfc5));
  sum = multiply_add(sum, t, all(kErfc4));
  sum = multiply_add(sum, t, all(kErfc3));
  sum = multiply_add(sum, t, all(kErfc2));
  sum = multiply_add(sum, t, all(kErfc1));
  sum = multiply_add(sum, t, all(kErfc0));
  const Vector power = powers_of_two(times(times(all(-kHalfLog2E), size), size));
  const Vector tail = times(times(sum, t), power);
  return minus(larger(all(0.0f), x), times(times(all(0.5f), size), tail));
}

// A panel of outputs through the form's activation.
VASA_HD void activate(Activation kind, const float* from, float* to) {
  for (std::int64_t at = 0; at < kPanel; at += kLanes) {
    const Vector x = load(from + at);
    store(to + at, kind == Activation::gelu ? gelus(x) : silus(x));
  }
}

// Sum and largest of the lanes, by halves.
VASA_HD float sum_of(Vector value) {
  float lanes[kLanes];
  store(lanes, value);
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

VASA_HD float largest_of(Vector value) {
  float lanes[kLanes];
  store(lanes, value);
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) {
      lanes[lane] = lanes[lane] > lanes[lane + half] ? lanes[lane] : lanes[lane + half];
    }
  }
  return lanes[0];
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
