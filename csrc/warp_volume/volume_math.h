// Where a coordinate falls between the voxels of an axis, once for every twin. Always in float32:
// 16 bits could not tell neighbouring places of a large volume apart.
#pragma once

#include <cstdint>

#include "common/half.h"
#include "vasa_cam/host_device.h"
#include "vasa_cam/warp_volume.h"

namespace vasa_cam {

// So that what a block counts fits 32 bits.
inline constexpr std::int64_t kMostChannels = 1 << 20;

// Channels last; a sample has fewer than 2^31 voxels.
struct VolumeSize {
  std::int32_t depth;     // voxels along z
  std::int32_t height;    // along y
  std::int32_t width;     // along x
  std::int64_t channels;  //
};

struct WarpVolumeParams {
  const void* volume;          // [samples or 1, depth, height, width, channels]
  const float* grid;           // [samples, places, 3]
  void* out;                   // [samples, places, channels]
  DType dtype;                 // of volume and out
  std::int64_t samples;        //
  std::int64_t sample_stride;  // elements of the volume; 0 where all samples share one
  std::int64_t places;         // lookups a sample
  VolumeSize size;             //
  Padding padding;             //
  bool align_corners;          //
};

// A place lies between voxels `low` and `low + 1` of an axis; `upper` is the weight of the second.
// Either may be outside: then it counts as zero.
struct AxisPlace {
  std::int32_t low;
  float upper;
};

// Both neighbours are outside from here on down.
inline constexpr std::int32_t kFarOutside = -2;

// From -1..1 to voxel centres at whole numbers, with the operations in PyTorch's order.
VASA_HD float voxel_of(float coordinate, std::int32_t size, bool align_corners) {
  if (align_corners) return (coordinate + 1.0f) * 0.5f * static_cast<float>(size - 1);
  return ((coordinate + 1.0f) * static_cast<float>(size) - 1.0f) * 0.5f;
}

// The nearest place within the volume. NaN becomes the last voxel, as in PyTorch on a CPU.
VASA_HD float clip_to_border(float voxel, std::int32_t size) {
  const float last = static_cast<float>(size - 1);
  const float below = voxel < last ? voxel : last;
  return below > 0.0f ? below : 0.0f;
}

VASA_HD AxisPlace place_of(float voxel, std::int32_t size) {
  // Compared as floats: neither infinity nor NaN may be made an integer. NaN is outside.
  const bool near = voxel >= -1.0f && voxel < static_cast<float>(size);
  const float position = near ? voxel : static_cast<float>(kFarOutside);
  const auto truncated = static_cast<std::int32_t>(position);
  const std::int32_t low = truncated - (static_cast<float>(truncated) > position ? 1 : 0);
  return {low, position - static_cast<float>(low)};
}

struct VolumePlace {
  AxisPlace x;
  AxisPlace y;
  AxisPlace z;
};

VASA_HD VolumePlace place_in_volume(const VolumeSize& size, const float* coordinates,
                                    Padding padding, bool align_corners) {
  float x = voxel_of(coordinates[0], size.width, align_corners);
  float y = voxel_of(coordinates[1], size.height, align_corners);
  float z = voxel_of(coordinates[2], size.depth, align_corners);
  if (padding == Padding::border) {
    x = clip_to_border(x, size.width);
    y = clip_to_border(y, size.height);
    z = clip_to_border(z, size.depth);
  }
  return {place_of(x, size.width), place_of(y, size.height), place_of(z, size.depth)};
}

VASA_HD bool within(std::int32_t index, std::int32_t size) {
  return static_cast<std::uint32_t>(index) < static_cast<std::uint32_t>(size);
}

// All eight neighbours are in the volume.
VASA_HD bool is_inner(const VolumePlace& place, const VolumeSize& size) {
  return within(place.x.low, size.width - 1) && within(place.y.low, size.height - 1) &&
         within(place.z.low, size.depth - 1);
}

VASA_HD float weight_of(const AxisPlace& place, std::int32_t step) {
  return step == 0 ? 1.0f - place.upper : place.upper;
}

// Voxels before neighbour (x, y, z) of a sample, each 0 or 1.
VASA_HD std::int64_t voxel_index(const VolumePlace& place, const VolumeSize& size, std::int32_t x,
                                 std::int32_t y, std::int32_t z) {
  return (static_cast<std::int64_t>(place.z.low + z) * size.height + place.y.low + y) * size.width +
         place.x.low + x;
}

}  // namespace vasa_cam
