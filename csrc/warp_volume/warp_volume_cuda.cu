// CUDA twin: a thread for 16 bytes of a place's channels. The threads of a place find it each for
// themselves, which is cheaper than telling one another, and read its neighbours side by side.
#include <algorithm>

#include "common/launch.cuh"
#include "warp_volume/volume_lookup.cuh"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1 << 20;   // the kernel goes over the rest in strides
constexpr std::int64_t kMostSamples = 1 << 15;  // of blocks along y, whose limit is 65,535

template <class T, int Width>
__global__ void __launch_bounds__(kThreads) warp_volume_kernel(WarpVolumeParams p) {
  const auto lanes = static_cast<std::int32_t>(p.size.channels / Width);
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.y;
  for (std::int64_t sample = blockIdx.y; sample < p.samples; sample += gridDim.y) {
    const T* volume = static_cast<const T*>(p.volume) + sample * p.sample_stride;
    std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    for (; index < p.places; index += step) {
      const std::int64_t place = sample * p.places + index;
      const float* at = p.grid + place * 3;
      const float coordinates[3] = {__ldg(at), __ldg(at + 1), __ldg(at + 2)};
      const VolumePlace where = place_in_volume(p.size, coordinates, p.padding, p.align_corners);
      T* out = static_cast<T*>(p.out) + place * p.size.channels;
      for (auto lane = static_cast<std::int32_t>(threadIdx.x); lane < lanes;
           lane += static_cast<std::int32_t>(blockDim.x)) {
        const std::int64_t channel = static_cast<std::int64_t>(lane) * Width;
        look_up_pack<T, Width>(volume + channel, p.size, where).store(out + channel);
      }
    }
  }
}

template <class T, int Width>
void launch(const WarpVolumeParams& p, void* stream) {
  const auto lanes =
      static_cast<unsigned>(std::min<std::int64_t>(p.size.channels / Width, kThreads));
  const dim3 threads(lanes, kThreads / lanes);
  const std::int64_t blocks = (p.places + threads.y - 1) / threads.y;
  const dim3 grid(static_cast<unsigned>(std::min(blocks, kMostBlocks)),
                  static_cast<unsigned>(std::min(p.samples, kMostSamples)));
  launch_kernel(warp_volume_kernel<T, Width>, LaunchShape{grid, threads}, stream, p);
}

}  // namespace

void launch_warp_volume(const WarpVolumeParams& p, int device_id, void* stream) {
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
