// Rows of tokens on the CPU: which ones, and their norms.
#pragma once

#include <cmath>

#include "sampler/sampler_data.h"
#include "sampler/vectors.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

// Walks over the rows of TokenRows without a division for each.
class RowWalk {
 public:
  RowWalk(const TokenRows& rows, std::int64_t index)
      : rows_(rows), row_(rows.row(index)), within_(index % rows.count) {}

  std::int64_t row() const { return row_; }
  void advance() {
    ++row_;
    if (++within_ < rows_.count) return;
    within_ = 0;
    row_ += rows_.tokens - rows_.count;
  }

 private:
  TokenRows rows_;
  std::int64_t row_;
  std::int64_t within_;
};

struct RowNorm {
  float mean;
  float deviation;
};

inline RowNorm norm_of_row(const float* x, std::int64_t width) {
  const std::int64_t whole = width / kLanes * kLanes;
  Vector sums = all(0.0f);
  for (std::int64_t at = 0; at < whole; at += kLanes) sums = plus(sums, load(x + at));
  float sum = sum_of(sums);
  for (std::int64_t at = whole; at < width; ++at) sum += x[at];
  const float mean = sum / static_cast<float>(width);
  Vector squares = all(0.0f);
  for (std::int64_t at = 0; at < whole; at += kLanes) {
    const Vector centred = minus(load(x + at), all(mean));
    squares = multiply_add(centred, centred, squares);
  }
  float square = sum_of(squares);
  for (std::int64_t at = whole; at < width; ++at) square += (x[at] - mean) * (x[at] - mean);
  return {mean, std::sqrt(square / static_cast<float>(width) + kNormEpsilon)};
}

// out = (x - mean) * gain / deviation; whole vectors are written, past `width` with rubbish.
inline void norm_row(const float* x, std::int64_t width, float gain, float* out) {
  const RowNorm norm = norm_of_row(x, width);
  const Vector scale = all(gain / norm.deviation);
  for (std::int64_t at = 0; at < width; at += kLanes) {
    store(out + at, times(minus(load(x + at), all(norm.mean)), scale));
  }
}

// out = (x - mean) / deviation * gain + shift, with a gain and a shift for each number; `out` may
// be `x`. Past `width` gain and shift are zero, and so is what is written.
inline void settle_row(const float* x, std::int64_t width, const Norm& norm, float* out) {
  const RowNorm found = norm_of_row(x, width);
  const Vector scale = all(1.0f / found.deviation);
  for (std::int64_t at = 0; at < width; at += kLanes) {
    const Vector normed = times(minus(load(x + at), all(found.mean)), scale);
    store(out + at, multiply_add(normed, load(norm.gain + at), load(norm.shift + at)));
  }
}

inline const float* layer_input(const SamplerCall& call, std::int64_t layer) {
  return layer == 0 ? call.scratch.tokens : call.scratch.residual;
}

}  // namespace
}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
