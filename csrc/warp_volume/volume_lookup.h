// A lookup of all channels, many at a time. For SIMD_SOURCES only.
#pragma once

#include "common/floats.h"
#include "warp_volume/volume_math.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

constexpr int kCorners = 8;

// The neighbours of a place that are in the volume. Those outside are left out instead of weighted
// by zero: zero times infinity would not be zero.
template <class T>
struct Neighbours {
  const T* first[kCorners];  // channel 0
  float weight[kCorners];
  int count = 0;
};

template <class T>
VASA_HD Neighbours<T> neighbours_of(const T* sample, const VolumeSize& size,
                                    const VolumePlace& place) {
  Neighbours<T> found;
  for (std::int32_t z = 0; z < 2; ++z) {
    if (!within(place.z.low + z, size.depth)) continue;
    for (std::int32_t y = 0; y < 2; ++y) {
      if (!within(place.y.low + y, size.height)) continue;
      const float weight = weight_of(place.z, z) * weight_of(place.y, y);
      for (std::int32_t x = 0; x < 2; ++x) {
        if (!within(place.x.low + x, size.width)) continue;
        found.first[found.count] = sample + voxel_index(place, size, x, y, z) * size.channels;
        found.weight[found.count] = weight * weight_of(place.x, x);
        ++found.count;
      }
    }
  }
  return found;
}

// Sum of `count` weighted vectors at a channel; `load` takes an address.
template <class T, class Load>
VASA_HD Floats weighted_sum(const Neighbours<T>& from, int count, std::int64_t channel,
                            Load&& load) {
  Floats sum = multiply(all_floats(from.weight[0]), load(from.first[0] + channel));
  for (int corner = 1; corner < count; ++corner) {
    sum = fused(all_floats(from.weight[corner]), load(from.first[corner] + channel), sum);
  }
  return sum;
}

// With `count` a constant the compiler unrolls the sum.
template <class T>
VASA_HD void sum_channels(const Neighbours<T>& from, int count, std::int64_t channels, T* out) {
  std::int64_t channel = 0;
  for (; channel + kFloats <= channels; channel += kFloats) {
    store_floats(out + channel,
                 weighted_sum(from, count, channel, [](const T* at) { return load_floats(at); }));
  }
  const std::int64_t rest = channels - channel;
  if (rest == 0) return;
  store_first(out + channel, rest, weighted_sum(from, count, channel, [rest](const T* at) {
                return load_first(at, rest);
              }));
}

// All channels of a place into out [channels].
template <class T>
VASA_HD void look_up(const T* sample, const VolumeSize& size, const VolumePlace& place, T* out) {
  if (is_inner(place, size)) {
    const std::int64_t row = size.width * size.channels;
    const std::int64_t slice = size.height * row;
    const T* near = sample + voxel_index(place, size, 0, 0, 0) * size.channels;
    Neighbours<T> inner;
    for (int corner = 0; corner < kCorners; ++corner) {
      const int x = corner & 1;
      const int y = (corner >> 1) & 1;
      const int z = corner >> 2;
      inner.first[corner] = near + z * slice + y * row + x * size.channels;
      inner.weight[corner] = weight_of(place.z, z) * weight_of(place.y, y) * weight_of(place.x, x);
    }
    sum_channels(inner, kCorners, size.channels, out);
    return;
  }
  const Neighbours<T> found = neighbours_of(sample, size, place);
  if (found.count == 0) {
    for (std::int64_t channel = 0; channel < size.channels; ++channel) {
      out[channel] = from_float<T>(0.0f);
    }
    return;
  }
  sum_channels(found, found.count, size.channels, out);
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
