// probe: what this machine can do at most, measured, so that an op's time can be set against it.
#pragma once

#include <cstdint>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// out[i] = a[i] + factor * b[i], all f32 [n]: the STREAM benchmark's triad, which moves 12 bytes
// for two operations. out may be a or b. Throws std::invalid_argument for a wrong shape, type or
// device.
void triad(const TensorView& a, const TensorView& b, float factor, const TensorView& out,
           void* stream);

// Every number of values, f32 [n], becomes `factor * x + addend`, `rounds` times over, in
// registers: 2 * n * rounds operations and next to no traffic. Throws std::invalid_argument for a
// wrong shape, type or device, or rounds below 0.
void multiply_add(const TensorView& values, float factor, float addend, std::int64_t rounds,
                  void* stream);

}  // namespace vasa_cam
