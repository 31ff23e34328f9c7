// The separable form of keypoint motion, once for every twin.
#pragma once

#include <cmath>

#include "vasa_cam/dense_motion.h"
#include "warp_volume/volume_math.h"

namespace vasa_cam {

// Numbers of a candidate in the network's input: its heat and the looked-up channels.
inline constexpr std::int32_t kCandidateNumbers = 1 + kCompressedChannels;
// exp(-50 d^2): a variance of 0.01.
inline constexpr float kHeatFalloff = 50.0f;
// Below it an axis' heat counts as zero: the product of three then never gets so small that a
// processor computes slowly with it.
inline constexpr float kNoHeat = 1e-12f;

// K keypoints of N samples; candidate 0 has none.
struct KeypointArrays {
  const float* source;         // [samples or 1, count, 3]
  const float* driving;        // [samples, count, 3]
  std::int64_t source_stride;  // numbers from sample to sample; 0 where all share one
  std::int32_t count;          // K
};

struct MotionInputParams {
  const void* compressed;      // [samples or 1, depth, height, width, 4]
  void* out;                   // [samples, depth, height, width, 5 (K + 1)]
  KeypointArrays keypoints;    //
  DType dtype;                 // of compressed and out
  std::int64_t samples;        //
  std::int64_t sample_stride;  // elements of compressed
  VolumeSize size;             // with 4 channels
};

struct MotionWarpParams {
  const void* logits;          // [samples, depth, height, width, K + 1]
  const void* volume;          // [samples or 1, depth, height, width, channels]
  float* deformation;          // [samples, depth, height, width, 3] or null
  void* out;                   // [samples, depth, height, width, channels]
  KeypointArrays keypoints;    //
  DType dtype;                 // of logits, volume and out
  std::int64_t samples;        //
  std::int64_t sample_stride;  // elements of volume
  VolumeSize size;             //
};

// Where an axis' index stands: its corners' centres at -1 and 1.
VASA_HD float identity_at(std::int32_t index, std::int32_t size) {
  return 2.0f * (static_cast<float>(index) / static_cast<float>(size - 1)) - 1.0f;
}

// What an index of an axis gives to every lookup and heat of a candidate.
struct alignas(16) AxisTerm {
  AxisPlace place;
  float driving_heat;
  float source_heat;
};

VASA_HD float heat_at(float distance) {
  const float heat = expf(-kHeatFalloff * distance * distance);
  // NaN stays.
  return heat < kNoHeat ? 0.0f : heat;
}

// Of candidate `candidate` in sample `sample`, on axis 0 (x), 1 (y) or 2 (z).
VASA_HD AxisTerm axis_term(const KeypointArrays& keypoints, std::int64_t sample,
                           std::int32_t candidate, std::int32_t axis, std::int32_t index,
                           std::int32_t size) {
  const float here = identity_at(index, size);
  if (candidate == 0) return {place_of(voxel_of(here, size, false), size), 0.0f, 0.0f};
  const std::int64_t at = 3 * (candidate - 1) + axis;
  const float source = keypoints.source[sample * keypoints.source_stride + at];
  const float driving = keypoints.driving[sample * keypoints.count * 3 + at];
  const float moved = here + (source - driving);
  return {place_of(voxel_of(moved, size, false), size), heat_at(here - driving),
          heat_at(here - source)};
}

VASA_HD float heat_of(const AxisTerm& x, const AxisTerm& y, const AxisTerm& z) {
  return x.driving_heat * (y.driving_heat * z.driving_heat) -
         x.source_heat * (y.source_heat * z.source_heat);
}

}  // namespace vasa_cam
