// CPU twin of dense_motion_warp: softmax and flow of a block of voxels, as many voxels at a time as
// a vector holds, then their lookups.
#include <algorithm>

#include "dense_motion/dense_motion_math.h"
#include "warp_volume/volume_lookup.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kBlock = 64;
constexpr std::int64_t kMostCandidates = kMostKeypoints + 1;
static_assert(kBlock % kFloats == 0, "a block is filled by whole vectors");

struct Block {
  float logits[kMostCandidates * kBlock];  // by candidate: the voxels of one are side by side
  float flow[3 * kBlock];                  // by axis
  float shift[3 * kMostKeypoints];         // source - driving
};

// Logits of `count` voxels [count, candidates] to one row a candidate.
template <class T>
void transpose_logits(const T* logits, std::int64_t count, std::int64_t candidates, float* rows) {
  for (std::int64_t voxel = 0; voxel < count; ++voxel) {
    const T* from = logits + voxel * candidates;
    float values[kMostCandidates + kFloats];
    std::int64_t at = 0;
    for (; at + kFloats <= candidates; at += kFloats) {
      store_floats(static_cast<float*>(values) + at, load_floats(from + at));
    }
    for (; at < candidates; ++at) values[at] = to_float(from[at]);
    for (at = 0; at < candidates; ++at) rows[at * kBlock + voxel] = values[at];
  }
}

// flow = sum_k softmax_k * shift_k of all the block's voxels; candidate 0 shifts nothing.
void sum_flow(std::int64_t count, std::int64_t candidates, Block& block) {
  for (std::int64_t first = 0; first < count; first += kFloats) {
    const float* logits = block.logits + first;
    Floats largest = load_floats(logits);
    for (std::int64_t candidate = 1; candidate < candidates; ++candidate) {
      largest = maximum(largest, load_floats(logits + candidate * kBlock));
    }
    Floats total = exponential(subtract(load_floats(logits), largest));
    Floats x = all_floats(0.0f);
    Floats y = all_floats(0.0f);
    Floats z = all_floats(0.0f);
    for (std::int64_t candidate = 1; candidate < candidates; ++candidate) {
      const float* shift = block.shift + 3 * (candidate - 1);
      const Floats mask = exponential(subtract(load_floats(logits + candidate * kBlock), largest));
      total = add(total, mask);
      x = fused(mask, all_floats(shift[0]), x);
      y = fused(mask, all_floats(shift[1]), y);
      z = fused(mask, all_floats(shift[2]), z);
    }
    const Floats share = divide(all_floats(1.0f), total);
    store_floats(block.flow + first, multiply(x, share));
    store_floats(block.flow + kBlock + first, multiply(y, share));
    store_floats(block.flow + 2 * kBlock + first, multiply(z, share));
  }
}

// Voxels [begin, end) of a sample.
template <class T>
void warp_sample(const MotionWarpParams& p, std::int64_t sample, std::int64_t begin,
                 std::int64_t end) {
  const KeypointArrays& keypoints = p.keypoints;
  const std::int64_t candidates = keypoints.count + 1;
  const std::int64_t voxels =
      static_cast<std::int64_t>(p.size.depth) * p.size.height * p.size.width;
  const T* volume = static_cast<const T*>(p.volume) + sample * p.sample_stride;
  const float* source = keypoints.source + sample * keypoints.source_stride;
  const float* driving = keypoints.driving + sample * keypoints.count * 3;
  Block block{};
  for (std::int32_t at = 0; at < 3 * keypoints.count; ++at) {
    block.shift[at] = source[at] - driving[at];
  }
  for (std::int64_t first = begin; first < end; first += kBlock) {
    const std::int64_t count = std::min(kBlock, end - first);
    const std::int64_t start = sample * voxels + first;
    transpose_logits(static_cast<const T*>(p.logits) + start * candidates, count, candidates,
                     block.logits);
    sum_flow(count, candidates, block);
    for (std::int64_t index = 0; index < count; ++index) {
      const std::int64_t voxel = first + index;
      const auto x = static_cast<std::int32_t>(voxel % p.size.width);
      const std::int64_t line = voxel / p.size.width;
      const auto y = static_cast<std::int32_t>(line % p.size.height);
      const auto z = static_cast<std::int32_t>(line / p.size.height);
      const float place[3] = {identity_at(x, p.size.width) + block.flow[index],
                              identity_at(y, p.size.height) + block.flow[kBlock + index],
                              identity_at(z, p.size.depth) + block.flow[2 * kBlock + index]};
      if (p.deformation != nullptr) {
        for (int axis = 0; axis < 3; ++axis)
          p.deformation[(start + index) * 3 + axis] = place[axis];
      }
      look_up(volume, p.size, place_in_volume(p.size, place, Padding::zeros, false),
              static_cast<T*>(p.out) + (start + index) * p.size.channels);
    }
  }
}

}  // namespace

// Voxels [begin, end), counted over all samples.
void motion_warp_voxels(const MotionWarpParams& p, std::int64_t begin, std::int64_t end) {
  const std::int64_t voxels =
      static_cast<std::int64_t>(p.size.depth) * p.size.height * p.size.width;
  while (begin < end) {
    const std::int64_t sample = begin / voxels;
    const std::int64_t start = sample * voxels;
    const std::int64_t stop = std::min(end, start + voxels);
    with_float_type(p.dtype, [&](auto element) {
      warp_sample<decltype(element)>(p, sample, begin - start, stop - start);
    });
    begin = stop;
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
