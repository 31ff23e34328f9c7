// A product of token rows with a weight matrix in float16 or bfloat16 on tensor cores, summed in
// float32, with bias and activation behind it.
//
// A block makes 64 outputs of 64 or 128 rows; rows and weights come in tiles of 64 inputs, three of
// which are in shared memory: one that is multiplied and two on their way. Where a product has few
// outputs the inputs are split between blocks, whose sums the next kernel adds up.
#pragma once

#include "sampler/half_tiles.cuh"
#include "sampler/sampler_data.h"

namespace vasa_cam {
namespace {

constexpr int kTileOutputs = 64;
constexpr int kTileInputs = 64;
// Between the rows of a tile: 144 bytes, so that eight of them lie in different banks.
constexpr int kTilePitch = kTileInputs + 8;
constexpr int kTiles = 3;
// Between the rows of sums: where a warp writes, half its lanes lie in different banks.
constexpr int kSumPitch = kTileOutputs + 8;

template <class T>
struct HalfProduct {
  const T* input;  // [rows, inputs]
  int input_pitch;
  int rows;
  const T* weight;  // [outputs, inputs], both padded to whole tiles by zeros
  const float* bias;
  int inputs;   // a multiple of 16
  int outputs;  // a multiple of 16
  int depth;    // inputs of a split, a multiple of kTileInputs
  T* output;    // half results, or null
  int output_pitch;
  TokenRows map;  // the row of `output` for each row of `input`
  float* sums;    // float32 results [splits, rows, outputs], or null
  bool active;    // whether the activation follows
  Activation activation;
};

// Of a block of kRows rows, a warp for each 32 x 32.
template <int kRows>
constexpr int kThreadsOf = kRows / 32 * (kTileOutputs / 32) * kWarp;

template <int kRows>
constexpr std::size_t kSharedBytesOf = sizeof(Half) * kTiles * (kRows + kTileOutputs) * kTilePitch;

// Brings tile number `step` of this block's inputs to its place in shared memory.
template <class T, int kRows>
class TileLoader {
  static constexpr int kThreads = kThreadsOf<kRows>;
  static constexpr int kPacks = kTileInputs / 8;  // of a row, 16 bytes each

 public:
  __device__ TileLoader(const HalfProduct<T>& p, T* tiles)
      : p_(p),
        tiles_(tiles),
        first_(static_cast<int>(blockIdx.z) * p.depth),
        last_(first_ + p.depth < p.inputs ? first_ + p.depth : p.inputs) {}

  __device__ int steps() const { return (last_ - first_ + kTileInputs - 1) / kTileInputs; }

  __device__ T* rows(int step) const {
    return tiles_ + step % kTiles * (kRows + kTileOutputs) * kTilePitch;
  }
  __device__ T* weights(int step) const { return rows(step) + kRows * kTilePitch; }

  __device__ void load_rows(int step) const {
    const int first_row = static_cast<int>(blockIdx.y) * kRows;
    T* const tile = rows(step);
    for (int pack = static_cast<int>(threadIdx.x); pack < kRows * kPacks; pack += kThreads) {
      const int row = first_row + pack / kPacks;
      const int input = first_ + step * kTileInputs + pack % kPacks * 8;
      const bool valid = row < p_.rows && input < last_;
      const T* from = p_.input;
      if (valid) from += static_cast<std::int64_t>(row) * p_.input_pitch + input;
      copy_async(tile + pack / kPacks * kTilePitch + pack % kPacks * 8, from, valid);
    }
  }

  __device__ void load_weights(int step) const {
    const int first_output = static_cast<int>(blockIdx.x) * kTileOutputs;
    const std::int64_t pitch = (p_.inputs + kTileInputs - 1) / kTileInputs * kTileInputs;
    const T* const from = p_.weight + first_output * pitch + first_ + step * kTileInputs;
    T* const tile = weights(step);
    for (int pack = static_cast<int>(threadIdx.x); pack < kTileOutputs * kPacks; pack += kThreads) {
      const int row = pack / kPacks;
      const int input = pack % kPacks * 8;
      copy_async(tile + row * kTilePitch + input, from + row * pitch + input, true);
    }
  }

 private:
  const HalfProduct<T>& p_;
  T* tiles_;
  int first_;
  int last_;
};

// A warp's 32 x 32 sums.
template <class T>
class WarpSums {
 public:
  __device__ void add(const T* rows, const T* weights) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    rows += warp / 2 * 32 * kTilePitch;
    weights += warp % 2 * 32 * kTilePitch;
#pragma unroll
    for (int input = 0; input < kTileInputs; input += 16) {
      LeftTile<T> left[2];
      RightTile<T> right[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = half * 16 * kTilePitch + input;
        left[half].load(rows + at, kTilePitch);
        right[half].load_by_outputs(weights + at, kTilePitch);
      }
#pragma unroll
      for (int row = 0; row < 2; ++row) {
#pragma unroll
        for (int column = 0; column < 2; ++column) sums_[row][column].add(left[row], right[column]);
      }
    }
  }

  __device__ void store(float* sums) const {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    sums += warp / 2 * 32 * kSumPitch + warp % 2 * 32;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
#pragma unroll
      for (int column = 0; column < 2; ++column) {
        sums_[row][column].store(sums + row * 16 * kSumPitch + column * 16, kSumPitch);
      }
    }
  }

 private:
  SumTile sums_[2][2];
};

// Eight results of one row on their way out. Split 0 brings the bias.
template <class T>
__device__ void finish_pack(const HalfProduct<T>& p, int row, int output, const float* sums) {
  float values[8];
#pragma unroll
  for (int at = 0; at < 8; ++at) {
    float value = sums[at];
    if (blockIdx.z == 0) value += p.bias[output + at];
    if (p.active) value = p.activation == Activation::gelu ? gelu(value) : silu(value);
    values[at] = value;
  }
  if (p.output != nullptr) {
    Pack<T> pack;
#pragma unroll
    for (int at = 0; at < 8; ++at) pack.values[at] = from_float<T>(values[at]);
    *reinterpret_cast<Pack<T>*>(p.output + p.map.row(row) * p.output_pitch + output) = pack;
  }
  if (p.sums != nullptr) {
    const std::int64_t line = static_cast<std::int64_t>(blockIdx.z) * p.rows + row;
    float* const to = p.sums + line * p.outputs + output;
#pragma unroll
    for (int at = 0; at < 8; ++at) to[at] = values[at];
  }
}

template <class T, int kRows>
__global__ void __launch_bounds__(kThreadsOf<kRows>) half_product_kernel(HalfProduct<T> p) {
  VASA_SHARED_ARRAY(T, tiles);
  const TileLoader<T, kRows> loader(p, tiles);
  const int steps = loader.steps();
  let_next_begin();
  // Weights never change, so that they may come before the kernel that makes the rows has ended.
  for (int step = 0; step < kTiles - 1 && step < steps; ++step) loader.load_weights(step);
  wait_for_previous();
  for (int step = 0; step < kTiles - 1; ++step) {
    if (step < steps) loader.load_rows(step);
    commit_copies();
  }
  WarpSums<T> sums;
  for (int step = 0; step < steps; ++step) {
    wait_copies<kTiles - 2>();
    // Now this tile is there for all, and nobody reads the one before it any more.
    __syncthreads();
    const int coming = step + kTiles - 1;
    if (coming < steps) {
      loader.load_weights(coming);
      loader.load_rows(coming);
    }
    commit_copies();
    sums.add(loader.rows(step), loader.weights(step));
  }
  wait_copies<0>();
  __syncthreads();
  auto* const results = reinterpret_cast<float*>(tiles);
  sums.store(results);
  __syncthreads();
  constexpr int kPacks = kTileOutputs / 8;
  for (int pack = static_cast<int>(threadIdx.x); pack < kRows * kPacks; pack += kThreadsOf<kRows>) {
    const int row = static_cast<int>(blockIdx.y) * kRows + pack / kPacks;
    const int output = static_cast<int>(blockIdx.x) * kTileOutputs + pack % kPacks * 8;
    if (row >= p.rows || output >= p.outputs) continue;
    finish_pack(p, row, output, results + pack / kPacks * kSumPitch + pack % kPacks * 8);
  }
}

template <class T, int kRows>
void launch_half_product(const LaunchQueue& queue, const HalfProduct<T>& p) {
  LaunchShape shape;
  shape.blocks = dim3(blocks_for(p.outputs, kTileOutputs), blocks_for(p.rows, kRows),
                      blocks_for(p.inputs, p.depth));
  shape.threads = kThreadsOf<kRows>;
  shape.shared_bytes = kSharedBytesOf<kRows>;
  launch(queue, half_product_kernel<T, kRows>, shape, p);
}

}  // namespace
}  // namespace vasa_cam
