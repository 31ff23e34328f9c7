// CPU twin: as many elements as the instruction set works on at once, the rest one by one.
#include "common/floats.h"
#include "guided_update/guided_update_math.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

template <class T>
void update_range(const GuidedUpdate<T>& u, std::int64_t begin, std::int64_t end) {
  const Floats keep = all_floats(u.coefficients.keep);
  const Floats step = all_floats(u.coefficients.step);
  const Floats sigma = all_floats(u.coefficients.sigma);
  std::int64_t at = begin;
  for (; at + kFloats <= end; at += kFloats) {
    Floats clean = all_floats(0.0f);
    for (std::int64_t pass = 0; pass < u.passes; ++pass) {
      const Floats output = load_floats(u.outputs + pass * u.count + at);
      clean = fused(all_floats(u.weights[pass]), output, clean);
    }
    Floats next = fused(step, clean, multiply(keep, load_floats(u.noised + at)));
    if (u.noise != nullptr) next = fused(sigma, load_floats(u.noise + at), next);
    if (u.clean != nullptr) store_floats(u.clean + at, clean);
    store_floats(u.out + at, next);
  }
  for (; at < end; ++at) update_element(u, at);
}

}  // namespace

void update_floats(const GuidedUpdate<float>& u, std::int64_t begin, std::int64_t end) {
  update_range(u, begin, end);
}

void update_halves(const GuidedUpdate<Half>& u, std::int64_t begin, std::int64_t end) {
  update_range(u, begin, end);
}

void update_bfloats(const GuidedUpdate<BFloat16>& u, std::int64_t begin, std::int64_t end) {
  update_range(u, begin, end);
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
