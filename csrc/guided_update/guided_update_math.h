// The arithmetic that both twins share.
#pragma once

#include "common/half.h"
#include "vasa_cam/guided_update.h"

namespace vasa_cam {

template <class T>
struct GuidedUpdate {
  const float* noised;   // [count]
  const T* outputs;      // [passes, count]
  const float* weights;  // [passes]
  const float* noise;    // [count] or null
  float* clean;          // [count] or null
  float* out;            // [count]
  std::int64_t passes;
  std::int64_t count;
  UpdateCoefficients coefficients;
};

template <class T>
VASA_HD float guided_clean(const GuidedUpdate<T>& u, std::int64_t at) {
  float sum = 0.0f;
  for (std::int64_t pass = 0; pass < u.passes; ++pass) {
    sum += u.weights[pass] * to_float(u.outputs[pass * u.count + at]);
  }
  return sum;
}

// Without noise to add pass 0, not infinity times zero.
VASA_HD float solver_step(const UpdateCoefficients& c, float noised, float clean) {
  return c.keep * noised + c.step * clean;
}

// One element. `noised` may lie where `out` does.
template <class T>
VASA_HD void update_element(const GuidedUpdate<T>& u, std::int64_t at) {
  const float clean = guided_clean(u, at);
  float next = solver_step(u.coefficients, u.noised[at], clean);
  if (u.noise != nullptr) next += u.coefficients.sigma * u.noise[at];
  if (u.clean != nullptr) u.clean[at] = clean;
  u.out[at] = next;
}

}  // namespace vasa_cam
