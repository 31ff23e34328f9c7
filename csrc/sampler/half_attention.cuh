// Attention in one kernel for windows of a few hundred tokens, in float16 or bfloat16 on tensor
// cores: all keys and values of a head lie in shared memory, so that softmax sees whole rows.
//
// A block takes 32 queries of one head in one pass. Its four warps share first the tiles of scores,
// then the rows of softmax, then the tiles of the result.
#pragma once

#include "sampler/half_tiles.cuh"
#include "sampler/sampler_data.h"

namespace vasa_cam {
namespace {

constexpr int kQueries = 32;
constexpr int kAttentionWarps = 4;
constexpr int kAttentionThreads = kAttentionWarps * kWarp;
constexpr int kLanesOfRow = 8;  // that share a row of softmax
constexpr int kMat = 16;        // rows and columns of a tile
constexpr int kStagePitch = kMat + 8;

template <class T>
struct HalfAttention {
  const T* qkv;  // [P T, 3 D]; q brings log2(e) / sqrt(size of a head)
  T* attended;   // [P wanted, D]
  int tokens;
  int wanted;  // the last tokens of each pass ask
  int heads;
  int head_width;  // a multiple of 16
};

// Where the parts lie in a block's shared memory; each begins at a multiple of 16 bytes.
template <class T>
struct AttentionMemory {
  int rows;         // tokens, padded to whole tiles
  int pitch;        // elements between queries, keys and values
  int score_pitch;  // elements between rows of scores and of their powers
  std::size_t keys, values, powers, scores, totals, bytes;

  VASA_HD AttentionMemory(int tokens, int head_width)
      : rows((tokens + kMat - 1) / kMat * kMat), pitch(head_width + 8), score_pitch(rows + 8) {
    const auto line = static_cast<std::size_t>(pitch) * sizeof(T);
    const auto count = static_cast<std::size_t>(kQueries) * static_cast<std::size_t>(score_pitch);
    // The results pass through the memory of the scores, which may be smaller.
    constexpr std::size_t kStages = kAttentionWarps * kMat * kStagePitch;
    keys = kQueries * line;
    values = keys + static_cast<std::size_t>(rows) * line;
    powers = values + static_cast<std::size_t>(rows) * line;
    scores = powers + count * sizeof(T);
    totals = scores + (count > kStages ? count : kStages) * sizeof(float);
    bytes = totals + kQueries * sizeof(float);
  }
};

// The block's queries, keys and values to shared memory; rows past the end become zero.
template <class T>
__device__ void load_head(const HalfAttention<T>& a, const AttentionMemory<T>& memory,
                          char* shared) {
  const int pass = static_cast<int>(blockIdx.y) / a.heads;
  const int head = static_cast<int>(blockIdx.y) % a.heads;
  const int width = a.heads * a.head_width;
  const int packs = a.head_width / 8;
  const int first_query = static_cast<int>(blockIdx.x) * kQueries;
  const T* const qkv = a.qkv + static_cast<std::int64_t>(pass) * a.tokens * 3 * width;
  for (int at = static_cast<int>(threadIdx.x); at < (kQueries + 2 * memory.rows) * packs;
       at += kAttentionThreads) {
    const int line = at / packs;
    const int column = at % packs * 8;
    int part = 0;
    int token = a.tokens - a.wanted + first_query + line;
    if (line >= kQueries) {
      part = line - kQueries < memory.rows ? 1 : 2;
      token = (line - kQueries) % memory.rows;
    }
    const bool valid = token < a.tokens;
    const T* from = qkv;
    if (valid) {
      from += (static_cast<std::int64_t>(token) * 3 + part) * width + head * a.head_width + column;
    }
    // Queries, keys and values follow each other without gaps.
    copy_async(reinterpret_cast<T*>(shared) + line * memory.pitch + column, from, valid);
  }
  commit_copies();
  wait_copies<0>();
}

// scores[kQueries, rows] = q k^T
template <class T>
__device__ void score_keys(const HalfAttention<T>& a, const AttentionMemory<T>& memory,
                           char* shared) {
  const auto* const queries = reinterpret_cast<const T*>(shared);
  const auto* const keys = reinterpret_cast<const T*>(shared + memory.keys);
  auto* const scores = reinterpret_cast<float*>(shared + memory.scores);
  const int key_tiles = memory.rows / kMat;
  for (int tile = static_cast<int>(threadIdx.x) / kWarp; tile < kQueries / kMat * key_tiles;
       tile += kAttentionWarps) {
    const int row = tile / key_tiles * kMat;
    const int key = tile % key_tiles * kMat;
    SumTile sums;
    for (int at = 0; at < a.head_width; at += kMat) {
      LeftTile<T> query;
      RightTile<T> other;
      query.load(queries + row * memory.pitch + at, memory.pitch);
      other.load_by_outputs(keys + key * memory.pitch + at, memory.pitch);
      sums.add(query, other);
    }
    sums.store(scores + row * memory.score_pitch + key, memory.score_pitch);
  }
}

// powers = 2^(scores - largest), zero past the tokens; totals = their sums.
template <class T>
__device__ void soften_rows(const HalfAttention<T>& a, const AttentionMemory<T>& memory,
                            char* shared) {
  const auto* const scores = reinterpret_cast<const float*>(shared + memory.scores);
  auto* const powers = reinterpret_cast<T*>(shared + memory.powers);
  auto* const totals = reinterpret_cast<float*>(shared + memory.totals);
  const int lane = static_cast<int>(threadIdx.x) % kLanesOfRow;
  for (int row = static_cast<int>(threadIdx.x) / kLanesOfRow; row < kQueries;
       row += kAttentionThreads / kLanesOfRow) {
    const float* const line = scores + row * memory.score_pitch;
    float most = -INFINITY;
    for (int at = lane; at < a.tokens; at += kLanesOfRow) most = fmaxf(most, line[at]);
    for (int offset = kLanesOfRow / 2; offset > 0; offset /= 2) {
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, offset));
    }
    float total = 0.0f;
    for (int at = lane; at < memory.rows; at += kLanesOfRow) {
      const float power = at < a.tokens ? power_of_two(line[at] - most) : 0.0f;
      total += power;
      powers[row * memory.score_pitch + at] = from_float<T>(power);
    }
    for (int offset = kLanesOfRow / 2; offset > 0; offset /= 2) {
      total += __shfl_xor_sync(0xffffffffu, total, offset);
    }
    if (lane == 0) totals[row] = total;
  }
}

// attended = powers v / totals
template <class T>
__device__ void mix_values(const HalfAttention<T>& a, const AttentionMemory<T>& memory,
                           char* shared) {
  const auto* const values = reinterpret_cast<const T*>(shared + memory.values);
  const auto* const powers = reinterpret_cast<const T*>(shared + memory.powers);
  const auto* const totals = reinterpret_cast<const float*>(shared + memory.totals);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float* const stage = reinterpret_cast<float*>(shared + memory.scores) + warp * kMat * kStagePitch;
  const int pass = static_cast<int>(blockIdx.y) / a.heads;
  const int head = static_cast<int>(blockIdx.y) % a.heads;
  const int value_tiles = a.head_width / kMat;
  for (int tile = warp; tile < kQueries / kMat * value_tiles; tile += kAttentionWarps) {
    const int row = tile / value_tiles * kMat;
    const int column = tile % value_tiles * kMat;
    SumTile sums;
    for (int at = 0; at < memory.rows; at += kMat) {
      LeftTile<T> power;
      RightTile<T> value;
      power.load(powers + row * memory.score_pitch + at, memory.score_pitch);
      value.load_by_inputs(values + at * memory.pitch + column, memory.pitch);
      sums.add(power, value);
    }
    sums.store(stage, kStagePitch);
    __syncwarp();
    const int line = row + lane / 2;
    const int query = static_cast<int>(blockIdx.x) * kQueries + line;
    if (query < a.wanted) {
      const float inverse = 1.0f / totals[line];
      const float* const from = stage + lane / 2 * kStagePitch + lane % 2 * 8;
      Pack<T> pack;
#pragma unroll
      for (int at = 0; at < 8; ++at) pack.values[at] = from_float<T>(from[at] * inverse);
      const std::int64_t target = static_cast<std::int64_t>(pass) * a.wanted + query;
      T* const to = a.attended + target * a.heads * a.head_width + head * a.head_width;
      *reinterpret_cast<Pack<T>*>(to + column + lane % 2 * 8) = pack;
    }
    __syncwarp();
  }
}

template <class T>
__global__ void __launch_bounds__(kAttentionThreads) half_attention_kernel(HalfAttention<T> a) {
  VASA_SHARED_ARRAY(char, shared);
  const AttentionMemory<T> memory(a.tokens, a.head_width);
  let_next_begin();
  wait_for_previous();
  load_head(a, memory, shared);
  __syncthreads();
  score_keys(a, memory, shared);
  __syncthreads();
  soften_rows(a, memory, shared);
  __syncthreads();
  mix_values(a, memory, shared);
}

template <class T>
void launch_half_attention(const LaunchQueue& queue, const HalfAttention<T>& a,
                           std::int64_t passes) {
  LaunchShape shape;
  shape.blocks = dim3(blocks_for(a.wanted, kQueries), static_cast<unsigned>(passes * a.heads));
  shape.threads = kAttentionThreads;
  shape.shared_bytes = AttentionMemory<T>(a.tokens, a.head_width).bytes;
  launch(queue, half_attention_kernel<T>, shape, a);
}

}  // namespace
}  // namespace vasa_cam
