// CUDA twin of dense_motion_warp. A block takes 64 voxels: it fetches their logits in one piece,
// four threads a voxel make the softmax and the flow of them, then a thread for 16 bytes of a
// voxel's channels looks them up. Neither masks nor flow go through global memory.
#include <algorithm>

#include "common/launch.cuh"
#include "dense_motion/dense_motion_math.h"
#include "warp_volume/volume_lookup.cuh"

namespace vasa_cam {
namespace {

constexpr std::int32_t kTile = 64;
constexpr std::int32_t kThreadsPerVoxel = 4;
constexpr std::int32_t kThreads = kTile * kThreadsPerVoxel;
constexpr std::int32_t kMostCandidates = static_cast<std::int32_t>(kMostKeypoints) + 1;
constexpr std::int64_t kMostBlocks = 1 << 20;   // the kernel goes over the rest in strides
constexpr std::int64_t kMostSamples = 1 << 15;  // of blocks along y, whose limit is 65,535

// Of a voxel's four threads.
__device__ __forceinline__ float group_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

__device__ __forceinline__ float group_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

// `count` elements into shared memory, which begins at a multiple of 16 bytes, by the whole block.
template <class T>
__device__ void fetch_logits(const T* from, std::int32_t count, T* to) {
  const auto thread = static_cast<std::int32_t>(threadIdx.x);
  const bool whole = (reinterpret_cast<std::uintptr_t>(from) & 15u) == 0;
  const std::int32_t packs = whole ? count / kPack<T> : 0;
  for (std::int32_t pack = thread; pack < packs; pack += kThreads) {
    reinterpret_cast<uint4*>(to)[pack] = __ldg(reinterpret_cast<const uint4*>(from) + pack);
  }
  for (std::int32_t at = packs * kPack<T> + thread; at < count; at += kThreads) {
    to[at] = detail::read_one(from + at);
  }
}

// Where voxel `voxel` of the sample is looked up, all of its four threads together.
template <class T>
__device__ float3 place_of_voxel(const T* logits, std::int32_t candidates, const float* shift,
                                 const VolumeSize& size, std::int32_t voxel) {
  const auto first = static_cast<std::int32_t>(threadIdx.x) % kThreadsPerVoxel;
  float largest = -INFINITY;
  for (std::int32_t candidate = first; candidate < candidates; candidate += kThreadsPerVoxel) {
    largest = fmaxf(largest, to_float(logits[candidate]));
  }
  largest = group_max(largest);
  float total = 0.0f;
  float3 flow = make_float3(0.0f, 0.0f, 0.0f);
  for (std::int32_t candidate = first; candidate < candidates; candidate += kThreadsPerVoxel) {
    const float mask = __expf(to_float(logits[candidate]) - largest);
    total += mask;
    flow.x += mask * shift[3 * candidate];
    flow.y += mask * shift[3 * candidate + 1];
    flow.z += mask * shift[3 * candidate + 2];
  }
  const float share = 1.0f / group_sum(total);
  const std::int32_t line = voxel / size.width;
  return make_float3(identity_at(voxel % size.width, size.width) + share * group_sum(flow.x),
                     identity_at(line % size.height, size.height) + share * group_sum(flow.y),
                     identity_at(line / size.height, size.depth) + share * group_sum(flow.z));
}

// The flow of a sample's keypoints; candidate 0 has none.
__device__ void fill_shift(const KeypointArrays& keypoints, std::int64_t sample, float* shift) {
  const auto at = static_cast<std::int32_t>(threadIdx.x);
  if (at >= 3 * (keypoints.count + 1)) return;
  shift[at] = at < 3 ? 0.0f
                     : keypoints.source[sample * keypoints.source_stride + at - 3] -
                           keypoints.driving[sample * keypoints.count * 3 + at - 3];
}

template <class T, int Width>
__global__ void __launch_bounds__(kThreads) motion_warp_kernel(MotionWarpParams p) {
  alignas(16) __shared__ T logits[kTile * kMostCandidates];
  __shared__ float shift[3 * kMostCandidates];
  __shared__ float places[3 * kTile];
  static_assert(3 * kMostCandidates <= kThreads, "fill_shift takes a thread for each number");
  const VolumeSize size = p.size;
  const std::int32_t candidates = p.keypoints.count + 1;
  const std::int32_t voxels = size.depth * size.height * size.width;
  const auto lanes = static_cast<std::int32_t>(size.channels / Width);
  const auto thread = static_cast<std::int32_t>(threadIdx.x);
  for (std::int64_t sample = blockIdx.y; sample < p.samples; sample += gridDim.y) {
    const T* volume = static_cast<const T*>(p.volume) + sample * p.sample_stride;
    fill_shift(p.keypoints, sample, shift);
    for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kTile; first < voxels;
         first += static_cast<std::int64_t>(gridDim.x) * kTile) {
      const auto count =
          static_cast<std::int32_t>(min(static_cast<std::int64_t>(kTile), voxels - first));
      const std::int64_t start = sample * voxels + first;
      fetch_logits(static_cast<const T*>(p.logits) + start * candidates, count * candidates,
                   logits);
      __syncthreads();
      // Past the tile's end the last voxel stands in: every lane must take part in the shuffles.
      const std::int32_t mine = min(thread / kThreadsPerVoxel, count - 1);
      const float3 place = place_of_voxel(logits + mine * candidates, candidates, shift, size,
                                          static_cast<std::int32_t>(first) + mine);
      if (thread % kThreadsPerVoxel == 0 && thread / kThreadsPerVoxel < count) {
        places[3 * mine] = place.x;
        places[3 * mine + 1] = place.y;
        places[3 * mine + 2] = place.z;
      }
      __syncthreads();
      if (p.deformation != nullptr && thread < 3 * count) {
        p.deformation[start * 3 + thread] = places[thread];
      }
      T* out = static_cast<T*>(p.out) + start * size.channels;
      for (std::int32_t item = thread; item < count * lanes; item += kThreads) {
        const std::int32_t voxel = item / lanes;
        const std::int32_t channel = item % lanes * Width;
        const VolumePlace where = place_in_volume(size, places + 3 * voxel, Padding::zeros, false);
        look_up_pack<T, Width>(volume + channel, size, where)
            .store(out + voxel * size.channels + channel);
      }
      // The next tile overwrites logits and places, the next sample the shift.
      __syncthreads();
    }
  }
}

template <class T, int Width>
void launch(const MotionWarpParams& p, void* stream) {
  const std::int64_t voxels =
      static_cast<std::int64_t>(p.size.depth) * p.size.height * p.size.width;
  const dim3 grid(static_cast<unsigned>(std::min((voxels + kTile - 1) / kTile, kMostBlocks)),
                  static_cast<unsigned>(std::min(p.samples, kMostSamples)));
  launch_kernel(motion_warp_kernel<T, Width>, grid, kThreads, stream, p);
}

}  // namespace

void launch_motion_warp(const MotionWarpParams& p, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  with_float_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    const bool whole_packs =
        p.size.channels % kPack<T> == 0 && pack_aligned(p.volume) && pack_aligned(p.out);
    if (whole_packs) {
      launch<T, kPack<T>>(p, stream);
    } else {
      launch<T, 1>(p, stream);
    }
  });
}

}  // namespace vasa_cam
