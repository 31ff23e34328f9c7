// The 16-bit floats, the same source on host and device: stored as their bits, computed in float32.
#pragma once

#include <cstdint>
#include <cstring>

#include "vasa_cam/host_device.h"
#include "vasa_cam/tensor_view.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif
#if defined(__F16C__) && !defined(__CUDACC__)
#include <immintrin.h>
#endif

namespace vasa_cam {

struct Half {
  std::uint16_t bits;  // IEEE 754 binary16
};

struct BFloat16 {
  std::uint16_t bits;  // the upper half of a binary32
};

VASA_HD std::uint32_t bits_of_float(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  std::uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
#endif
}

VASA_HD float float_of_bits(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

// By integers, for processors without an instruction. Subnormal numbers are kept.
VASA_HD float half_to_float_by_bits(std::uint16_t half) {
  constexpr std::uint32_t rebias = (127u - 15u) << 23;
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t rest = static_cast<std::uint32_t>(half & 0x7fffu) << 13;
  if (rest >= 0x0f800000u) return float_of_bits(sign | rest | 0x7f800000u);  // infinity and NaN
  if (rest >= 0x00800000u) return float_of_bits(sign | (rest + rebias));
  // Subnormal: the mantissa beside a hidden bit, which is taken away again.
  constexpr std::uint32_t smallest = rebias + (1u << 23);
  const float magnitude = float_of_bits(rest + smallest) - float_of_bits(smallest);
  return float_of_bits(sign | bits_of_float(magnitude));
}

// To the nearest, ties to even; too large becomes infinity.
VASA_HD std::uint16_t float_to_half_by_bits(float value) {
  const std::uint32_t all = bits_of_float(value);
  const std::uint32_t sign = (all & 0x80000000u) >> 16;
  const std::uint32_t rest = all & 0x7fffffffu;
  if (rest >= 0x47800000u) {
    return static_cast<std::uint16_t>(sign | (rest > 0x7f800000u ? 0x7e00u : 0x7c00u));
  }
  if (rest < 0x38800000u) {
    // Subnormal: adding 1/2 leaves the mantissa's last bit at 2^-24, rounded by the addition.
    const std::uint32_t shifted = bits_of_float(float_of_bits(rest) + 0.5f);
    return static_cast<std::uint16_t>(sign | (shifted - 0x3f000000u));
  }
  const std::uint32_t odd = (rest >> 13) & 1u;
  return static_cast<std::uint16_t>(sign | ((rest - 0x38000000u + 0xfffu + odd) >> 13));
}

VASA_HD std::uint16_t float_to_bfloat16_by_bits(float value) {
  const std::uint32_t all = bits_of_float(value);
  if ((all & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((all >> 16) | 0x40u);
  return static_cast<std::uint16_t>((all + 0x7fffu + ((all >> 16) & 1u)) >> 16);
}

VASA_HD float to_float(float value) { return value; }

VASA_HD float to_float(Half value) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(value.bits));
#elif defined(__F16C__) && !defined(__CUDACC__)
  return _cvtsh_ss(value.bits);
#else
  return half_to_float_by_bits(value.bits);
#endif
}

VASA_HD float to_float(BFloat16 value) {
  return float_of_bits(static_cast<std::uint32_t>(value.bits) << 16);
}

// from_float<T>(x): x rounded to the nearest T, ties to even.
template <class T>
VASA_HD T from_float(float value);

template <>
VASA_HD float from_float<float>(float value) {
  return value;
}

template <>
VASA_HD Half from_float<Half>(float value) {
#if defined(__CUDA_ARCH__)
  return Half{__half_as_ushort(__float2half_rn(value))};
#elif defined(__F16C__) && !defined(__CUDACC__)
  return Half{static_cast<std::uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT))};
#else
  return Half{float_to_half_by_bits(value)};
#endif
}

template <>
VASA_HD BFloat16 from_float<BFloat16>(float value) {
#if defined(__CUDA_ARCH__)
  return BFloat16{__bfloat16_as_ushort(__float2bfloat16_rn(value))};
#else
  return BFloat16{float_to_bfloat16_by_bits(value)};
#endif
}

inline bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

// Calls body(T{}) with the type of a float tensor's elements. On the host.
template <class Body>
inline void with_float_type(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32:
      body(float{});
      return;
    case DType::f16:
      body(Half{});
      return;
    case DType::bf16:
      body(BFloat16{});
      return;
    default:
      return;  // the callers' checks let no other type through
  }
}

}  // namespace vasa_cam
