// f32, f16 or bf16 elements 16 bytes at a time, the widest access of a CUDA thread, or one by one.
#pragma once

#include <type_traits>

#include "common/half.h"

namespace vasa_cam {

template <class T>
inline constexpr int kPack = 16 / static_cast<int>(sizeof(T));

// Whether a 16-byte access may begin here.
inline bool pack_aligned(const void* at) { return reinterpret_cast<std::uintptr_t>(at) % 16 == 0; }

namespace detail {

// Through the read-only cache: nobody may write there during the kernel.
__device__ __forceinline__ float read_one(const float* at) { return __ldg(at); }
__device__ __forceinline__ Half read_one(const Half* at) { return Half{__ldg(&at->bits)}; }
__device__ __forceinline__ BFloat16 read_one(const BFloat16* at) {
  return BFloat16{__ldg(&at->bits)};
}

__device__ __forceinline__ void widen(std::uint32_t word, float* values, float) {
  values[0] = __uint_as_float(word);
}
__device__ __forceinline__ std::uint32_t narrow(const float* values, float) {
  return __float_as_uint(values[0]);
}

#ifdef __CUDACC__

__device__ __forceinline__ void widen(std::uint32_t word, float* values, Half) {
  __half2 pair;
  memcpy(&pair, &word, sizeof pair);
  const float2 both = __half22float2(pair);
  values[0] = both.x;
  values[1] = both.y;
}
__device__ __forceinline__ void widen(std::uint32_t word, float* values, BFloat16) {
  values[0] = __uint_as_float(word << 16);
  values[1] = __uint_as_float(word & 0xffff0000u);
}
__device__ __forceinline__ std::uint32_t narrow(const float* values, Half) {
  const __half2 pair = __floats2half2_rn(values[0], values[1]);
  std::uint32_t word;
  memcpy(&word, &pair, sizeof word);
  return word;
}
__device__ __forceinline__ std::uint32_t narrow(const float* values, BFloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(values[0], values[1]);
  std::uint32_t word;
  memcpy(&word, &pair, sizeof word);
  return word;
}

#else

// Where the C++ tests run kernels on a CPU.
template <class T>
void widen(std::uint32_t word, float* values, T) {
  values[0] = to_float(T{static_cast<std::uint16_t>(word)});
  values[1] = to_float(T{static_cast<std::uint16_t>(word >> 16)});
}
template <class T>
std::uint32_t narrow(const float* values, T) {
  const std::uint32_t upper = from_float<T>(values[1]).bits;
  return upper << 16 | from_float<T>(values[0]).bits;
}

#endif

}  // namespace detail

// Width elements in one access: kPack<T>, from addresses that pack_aligned() accepts, or 1.
template <class T, int Width>
struct Pack {
  static_assert(Width == 1 || Width == kPack<T>, "one element, or 16 bytes");
  using Raw = std::conditional_t<Width == 1, T, uint4>;

  Raw raw;

  // All bits zero, which is the number zero in each type.
  __device__ __forceinline__ static Pack zeros() {
    if constexpr (Width == 1) {
      return {T{}};
    } else {
      return {make_uint4(0u, 0u, 0u, 0u)};
    }
  }

  // Of memory that nobody writes during the kernel.
  __device__ __forceinline__ static Pack load(const T* at) {
    if constexpr (Width == 1) {
      return {detail::read_one(at)};
    } else {
      return {__ldg(reinterpret_cast<const uint4*>(at))};
    }
  }

  __device__ __forceinline__ void store(T* at) const { *reinterpret_cast<Raw*>(at) = raw; }

  __device__ __forceinline__ void to_floats(float (&values)[Width]) const {
    if constexpr (Width == 1) {
      values[0] = to_float(raw);
    } else {
      constexpr int step = Width / 4;
      detail::widen(raw.x, values, T{});
      detail::widen(raw.y, values + step, T{});
      detail::widen(raw.z, values + 2 * step, T{});
      detail::widen(raw.w, values + 3 * step, T{});
    }
  }

  __device__ __forceinline__ static Pack of_floats(const float (&values)[Width]) {
    if constexpr (Width == 1) {
      return {from_float<T>(values[0])};
    } else {
      constexpr int step = Width / 4;
      return {make_uint4(detail::narrow(values, T{}), detail::narrow(values + step, T{}),
                         detail::narrow(values + 2 * step, T{}),
                         detail::narrow(values + 3 * step, T{}))};
    }
  }
};

}  // namespace vasa_cam
