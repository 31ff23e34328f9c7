// A lookup of some channels by one CUDA thread.
#pragma once

#include "common/packs.cuh"
#include "warp_volume/volume_math.h"

namespace vasa_cam {

// Channels [0, Width) from `sample`, which points at the first of them in the sample's first voxel.
template <class T, int Width>
__device__ __forceinline__ Pack<T, Width> look_up_pack(const T* sample, const VolumeSize& size,
                                                       const VolumePlace& place) {
  const std::int64_t row = size.width * size.channels;
  const std::int64_t slice = size.height * row;
  const T* near = sample + voxel_index(place, size, 0, 0, 0) * size.channels;
  const bool inside_x[2] = {within(place.x.low, size.width), within(place.x.low + 1, size.width)};
  const bool inside_y[2] = {within(place.y.low, size.height), within(place.y.low + 1, size.height)};
  const bool inside_z[2] = {within(place.z.low, size.depth), within(place.z.low + 1, size.depth)};
  // All eight loads before the first sum, so that they wait for memory together. A neighbour
  // outside counts as a loaded zero: nothing is read there, and infinity cannot be multiplied by
  // it.
  Pack<T, Width> packs[8];
#pragma unroll
  for (int corner = 0; corner < 8; ++corner) {
    const int x = corner & 1;
    const int y = (corner >> 1) & 1;
    const int z = corner >> 2;
    packs[corner] = Pack<T, Width>::zeros();
    if (inside_x[x] && inside_y[y] && inside_z[z]) {
      packs[corner] = Pack<T, Width>::load(near + z * slice + y * row + x * size.channels);
    }
  }
  float sums[Width] = {};
#pragma unroll
  for (int corner = 0; corner < 8; ++corner) {
    const float weight = weight_of(place.z, corner >> 2) * weight_of(place.y, (corner >> 1) & 1) *
                         weight_of(place.x, corner & 1);
    float values[Width];
    packs[corner].to_floats(values);
#pragma unroll
    for (int channel = 0; channel < Width; ++channel) sums[channel] += weight * values[channel];
  }
  return Pack<T, Width>::of_floats(sums);
}

}  // namespace vasa_cam
