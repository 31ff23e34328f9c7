// Instance statistics and modulation: the arithmetic that both twins share.
#pragma once

#include <cstdint>

#include "vasa_cam/host_device.h"
#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

constexpr float kVarianceEpsilon = 1e-5f;

// Pixels of a part, whose mean and squares are found on their own. A whole number that depends on
// nothing else, so that a machine's threads or multiprocessors don't change the result.
constexpr std::int64_t kPixelsOfPart = 256;

struct StatisticsParams {
  const void* x;   // [images, pixels, channels]
  float* partial;  // [images, parts, 2, channels] a part's mean, less the image's first pixel, and
                   // the sum of its squared distances from its mean
  float* out;      // [images, 2, channels]
  std::int64_t images;
  std::int64_t pixels;
  std::int64_t channels;
  std::int64_t parts;
  DType dtype;
};

struct ModulateParams {
  const void* x;            // [images, height, width, channels]
  const float* statistics;  // [images, 2, channels]
  const void* gamma_beta;   // [images, factor height, factor width, 2 channels]
  const float* bias;        // [2 channels], or null
  void* out;                // [images, factor height, factor width, channels]
  std::int64_t images;
  std::int64_t height;  // of x
  std::int64_t width;   // of x
  std::int64_t channels;
  std::int32_t factor;  // 1 or 2
  float slope;
  DType dtype;
};

VASA_HD std::int64_t pixels_of_part(const StatisticsParams& p, std::int64_t part) {
  const std::int64_t left = p.pixels - part * kPixelsOfPart;
  return left < kPixelsOfPart ? left : kPixelsOfPart;
}

// What joining a set of `count` values to one of `before` multiplies the means' distance by.
template <class Real>
struct JoinWeights {
  Real share;   // to move the mean
  Real spread;  // to add to the squares, of the distance's square
};

template <class Real>
VASA_HD JoinWeights<Real> join_weights(Real before, Real count) {
#if defined(__CUDA_ARCH__)
  // Two roundings of a share are a millionth of the distance between two means; an exact division
  // would be most of the work of joining.
  const Real share = count > 0 ? __fdividef(count, before + count) : Real{0};
#else
  const Real share = count > 0 ? count / (before + count) : Real{0};
#endif
  return {share, before * share};
}

// Chan, Golub and LeVeque's pairwise update: never a difference of two large sums.
template <class Real>
VASA_HD void join(const JoinWeights<Real>& weights, Real other_mean, Real other_squares, Real* mean,
                  Real* squares) {
  const Real distance = other_mean - *mean;
  *mean += distance * weights.share;
  *squares += other_squares + distance * distance * weights.spread;
}

// Mean, less `origin`, and squares of `count` values from sums of their distances to one of them.
// As that one is among them, count * (mean - shift)^2 is at most count times the result: what
// cancels is bounded. Of an origin among the values' like, the mean keeps the digits that a large
// one of its own would cost.
template <class Real>
VASA_HD void unshift(Real origin, Real shift, Real sum, Real sum_of_squares, Real reciprocal,
                     Real* mean, Real* squares) {
  const Real offset = sum * reciprocal;
  *mean = (shift - origin) + offset;
  const Real rest = sum_of_squares - sum * offset;
  *squares = rest < 0 ? Real{0} : rest;  // false for NaN, which stays
}

VASA_HD float modulate(float x, float mean, float rstd, float gamma, float beta, float slope) {
  const float y = (x - mean) * rstd * (1.0f + gamma) + beta;
  return y > 0.0f ? y : y * slope;
}

}  // namespace vasa_cam
