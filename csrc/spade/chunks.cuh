// What one CUDA thread takes of a pixel's channels: 16 bytes of them, or a single one where the
// arrays' addresses or their number of channels don't allow more.
#pragma once

#include <type_traits>

#include "common/launch.cuh"
#include "common/packs.cuh"
#include "spade/spade_checks.h"

namespace vasa_cam {

template <class T, bool kPacked>
inline constexpr int kChunk = kPacked ? kPack<T> : 1;

template <int kCount, class T>
__device__ __forceinline__ void load_chunk(const T* at, float (&values)[kCount]) {
  Pack<T, kCount>::load(at).to_floats(values);
}

template <int kCount, class T>
__device__ __forceinline__ void store_chunk(T* at, const float (&values)[kCount]) {
  Pack<T, kCount>::of_floats(values).store(at);
}

// As many numbers of a float array, which lies on 16 bytes if there is more than one.
template <int kCount>
__device__ __forceinline__ void load_numbers(const float* at, float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    values[0] = *at;
  } else {
#pragma unroll
    for (int part = 0; part < kCount; part += 4) {
      const float4 four = __ldg(reinterpret_cast<const float4*>(at + part));
      values[part] = four.x;
      values[part + 1] = four.y;
      values[part + 2] = four.z;
      values[part + 3] = four.w;
    }
  }
}

// Calls body(T{}, std::true_type{} or std::false_type{}) for the type of the elements and whether
// chunks are packs.
template <class Body>
void with_chunks(DType dtype, bool packed, Body&& body) {
  with_float_type(dtype, [&](auto zero) {
    if (packed) {
      body(zero, std::true_type{});
    } else {
      body(zero, std::false_type{});
    }
  });
}

// Whether pixels of so many channels consist of packs; the addresses are asked apart.
inline bool whole_packs(DType dtype, std::int64_t channels) {
  return channels % (dtype == DType::f32 ? 4 : 8) == 0;
}

}  // namespace vasa_cam
