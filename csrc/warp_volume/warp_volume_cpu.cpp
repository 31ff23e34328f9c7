// CPU twin: place by place, channels in vectors.
#include <algorithm>

#include "warp_volume/volume_lookup.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kBlock = 64;

template <class T>
void warp_sample(const WarpVolumeParams& p, std::int64_t sample, std::int64_t begin,
                 std::int64_t end) {
  const T* volume = static_cast<const T*>(p.volume) + sample * p.sample_stride;
  const float* grid = p.grid + sample * p.places * 3;
  T* out = static_cast<T*>(p.out) + sample * p.places * p.size.channels;
  // Places first, in a loop of their own: it has no memory to wait for and can be vectorised.
  VolumePlace places[kBlock];
  for (std::int64_t first = begin; first < end; first += kBlock) {
    const std::int64_t count = std::min(kBlock, end - first);
    for (std::int64_t index = 0; index < count; ++index) {
      places[index] =
          place_in_volume(p.size, grid + (first + index) * 3, p.padding, p.align_corners);
    }
    for (std::int64_t index = 0; index < count; ++index) {
      look_up(volume, p.size, places[index], out + (first + index) * p.size.channels);
    }
  }
}

}  // namespace

// Places [begin, end), counted over all samples.
void warp_places(const WarpVolumeParams& p, std::int64_t begin, std::int64_t end) {
  while (begin < end) {
    const std::int64_t sample = begin / p.places;
    const std::int64_t start = sample * p.places;
    const std::int64_t stop = std::min(end, start + p.places);
    with_float_type(p.dtype, [&](auto element) {
      warp_sample<decltype(element)>(p, sample, begin - start, stop - start);
    });
    begin = stop;
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
