// What the CPU twin of dense_motion_input computes before anything else, and works in.
#pragma once

#include "dense_motion/dense_motion_math.h"

namespace vasa_cam {

// [samples, candidates, width + height + depth]
struct MotionTerms {
  const AxisTerm* first;
  VolumeSize size;
  std::int32_t candidates;

  std::int64_t numbers_per_candidate() const {
    return static_cast<std::int64_t>(size.width) + size.height + size.depth;
  }
  std::int64_t numbers_per_sample() const { return candidates * numbers_per_candidate(); }
};

// A thread's memory. Beyond both ends of `combined` lie zeros, where the neighbours of a place
// outside are; the farthest is kFarOutside.
inline constexpr std::int64_t kMarginVoxels = -kFarOutside;

struct RowScratch {
  float* combined;  // [width, 4] between margins of kMarginVoxels
  float* row;       // [width, 5 candidates], not for f32
};

}  // namespace vasa_cam
