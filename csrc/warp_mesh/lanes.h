// As many floats as the instruction set works on at once, for the rasteriser.
#pragma once

#include <cstdint>
#include <cstring>

#include "vasa_cam/host_device.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace vasa_cam::VASA_SIMD_NAMESPACE {

#if defined(__AVX512F__)

// Eight, not sixteen: a row of an avatar's triangle has about five pixels, and half as wide stores
// cross fewer cache lines.
constexpr std::int32_t kLanes = 8;
using Lanes = __m256;
using LaneMask = __mmask8;

VASA_HD Lanes all(float value) { return _mm256_set1_ps(value); }
VASA_HD Lanes counting() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
VASA_HD Lanes load(const float* at) { return _mm256_loadu_ps(at); }
VASA_HD Lanes plus(Lanes a, Lanes b) { return _mm256_add_ps(a, b); }
VASA_HD Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
VASA_HD LaneMask first_lanes(std::int32_t count) {
  return static_cast<LaneMask>(count >= kLanes ? 0xffu : (1u << count) - 1u);
}
VASA_HD LaneMask at_most(LaneMask mask, Lanes a, Lanes b) {
  return _mm256_mask_cmp_ps_mask(mask, a, b, _CMP_LE_OQ);
}
VASA_HD LaneMask below(LaneMask mask, Lanes a, Lanes b) {
  return _mm256_mask_cmp_ps_mask(mask, a, b, _CMP_LT_OQ);
}
VASA_HD bool none(LaneMask mask) { return mask == 0; }
VASA_HD std::uint32_t bits(LaneMask mask) { return mask; }
VASA_HD Lanes widest(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
VASA_HD Lanes distance(Lanes a, Lanes b) {
  return _mm256_andnot_ps(all(-0.0f), _mm256_sub_ps(a, b));
}
VASA_HD void store(float* at, LaneMask mask, Lanes value) {
  _mm256_mask_storeu_ps(at, mask, value);
}

#elif defined(__AVX2__)

constexpr std::int32_t kLanes = 8;
using Lanes = __m256;
using LaneMask = __m256;

VASA_HD Lanes all(float value) { return _mm256_set1_ps(value); }
VASA_HD Lanes counting() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
VASA_HD Lanes load(const float* at) { return _mm256_loadu_ps(at); }
VASA_HD Lanes plus(Lanes a, Lanes b) { return _mm256_add_ps(a, b); }
VASA_HD Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
VASA_HD LaneMask first_lanes(std::int32_t count) {
  return _mm256_cmp_ps(counting(), all(static_cast<float>(count)), _CMP_LT_OQ);
}
VASA_HD LaneMask at_most(LaneMask mask, Lanes a, Lanes b) {
  return _mm256_and_ps(mask, _mm256_cmp_ps(a, b, _CMP_LE_OQ));
}
VASA_HD LaneMask below(LaneMask mask, Lanes a, Lanes b) {
  return _mm256_and_ps(mask, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
VASA_HD bool none(LaneMask mask) { return _mm256_movemask_ps(mask) == 0; }
VASA_HD std::uint32_t bits(LaneMask mask) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(mask));
}
VASA_HD Lanes widest(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
VASA_HD Lanes distance(Lanes a, Lanes b) {
  return _mm256_andnot_ps(all(-0.0f), _mm256_sub_ps(a, b));
}
VASA_HD void store(float* at, LaneMask mask, Lanes value) {
  _mm256_maskstore_ps(at, _mm256_castps_si256(mask), value);
}

#elif defined(__GNUC__) || defined(__clang__)

constexpr std::int32_t kLanes = 4;
typedef float Lanes __attribute__((vector_size(16)));
typedef std::int32_t LaneMask __attribute__((vector_size(16)));

VASA_HD Lanes all(float value) { return Lanes{value, value, value, value}; }
VASA_HD Lanes counting() { return Lanes{0, 1, 2, 3}; }
VASA_HD Lanes load(const float* at) {
  Lanes value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
VASA_HD Lanes plus(Lanes a, Lanes b) { return a + b; }
VASA_HD Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return a * b + c; }
VASA_HD LaneMask first_lanes(std::int32_t count) {
  return LaneMask{0, 1, 2, 3} < LaneMask{count, count, count, count};
}
VASA_HD LaneMask at_most(LaneMask mask, Lanes a, Lanes b) { return mask & (a <= b); }
VASA_HD LaneMask below(LaneMask mask, Lanes a, Lanes b) { return mask & (a < b); }
VASA_HD std::uint32_t bits(LaneMask mask) {
  return static_cast<std::uint32_t>((mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8));
}
VASA_HD bool none(LaneMask mask) { return bits(mask) == 0; }
VASA_HD Lanes widest(Lanes a, Lanes b) { return a > b ? a : b; }
VASA_HD Lanes distance(Lanes a, Lanes b) { return widest(a - b, b - a); }
VASA_HD void store(float* at, LaneMask mask, Lanes value) {
  const Lanes kept = mask ? value : load(at);
  std::memcpy(at, &kept, sizeof kept);
}

#else

constexpr std::int32_t kLanes = 1;
using Lanes = float;
using LaneMask = bool;

VASA_HD Lanes all(float value) { return value; }
VASA_HD Lanes counting() { return 0.0f; }
VASA_HD Lanes load(const float* at) { return *at; }
VASA_HD Lanes plus(Lanes a, Lanes b) { return a + b; }
VASA_HD Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return a * b + c; }
VASA_HD LaneMask first_lanes(std::int32_t count) { return count > 0; }
VASA_HD LaneMask at_most(LaneMask mask, Lanes a, Lanes b) { return mask && a <= b; }
VASA_HD LaneMask below(LaneMask mask, Lanes a, Lanes b) { return mask && a < b; }
VASA_HD std::uint32_t bits(LaneMask mask) { return mask ? 1u : 0u; }
VASA_HD bool none(LaneMask mask) { return !mask; }
VASA_HD Lanes widest(Lanes a, Lanes b) { return a > b ? a : b; }
VASA_HD Lanes distance(Lanes a, Lanes b) { return widest(a - b, b - a); }
VASA_HD void store(float* at, LaneMask mask, Lanes value) {
  if (mask) *at = value;
}

#endif

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
