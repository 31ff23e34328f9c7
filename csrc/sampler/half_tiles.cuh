// Tiles of 16 x 16 that a warp holds for its tensor core, in float16 or bfloat16 with float32 sums.
//
// By PTX's own instructions and not nvcuda::wmma, whose loads of bfloat16 are compiled to single
// words and whose sums lie in no known order. Lane l holds of a tile of sums: rows l / 4 and
// l / 4 + 8, columns 2 (l % 4) and the next, and both again eight columns on (PTX ISA, "Matrix
// Fragments for mma.m16n8k16").
#pragma once

#include "sampler/gpu.cuh"

namespace vasa_cam {
namespace {

// 16 rows x 16 inputs of the left factor.
template <class T>
struct LeftTile {
  unsigned words[4];

  // Element (row, input) lies at from[row * pitch + input], in shared memory on 16 bytes.
  __device__ __forceinline__ void load(const T* from, int pitch) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    load_matrices(words, from + lane % 16 * pitch + lane / 16 * 8);
  }
};

// 16 inputs x 16 outputs of the right factor: two words for the first eight outputs, two for the
// others.
template <class T>
struct RightTile {
  unsigned words[4];

  // Element (input, output) lies at from[output * pitch + input].
  __device__ __forceinline__ void load_by_outputs(const T* from, int pitch) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    load_matrices(words, from + (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8);
  }

  // Element (input, output) lies at from[input * pitch + output].
  __device__ __forceinline__ void load_by_inputs(const T* from, int pitch) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    load_matrices_transposed(words, from + lane % 16 * pitch + lane / 16 * 8);
  }
};

// 16 rows x 16 outputs.
struct SumTile {
  float values[2][4] = {};

  template <class T>
  __device__ __forceinline__ void add(const LeftTile<T>& left, const RightTile<T>& right) {
    multiply_add_tile(T{}, values[0], left.words, right.words[0], right.words[1]);
    multiply_add_tile(T{}, values[1], left.words, right.words[2], right.words[3]);
  }

  // To to[row * pitch + output].
  __device__ __forceinline__ void store(float* to, int pitch) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    to += lane / 4 * pitch + lane % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        float* const pair = to + row * 8 * pitch + half * 8;
        pair[0] = values[half][2 * row];
        pair[1] = values[half][2 * row + 1];
      }
    }
  }
};

}  // namespace
}  // namespace vasa_cam
