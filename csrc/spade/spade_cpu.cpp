// CPU twin of statistics and modulation: channels fill the vectors.
#include <cmath>

#include "spade/some_floats.h"
#include "spade/spade_math.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

// Pixels whose distances to the first of them are summed plainly.
constexpr std::int64_t kRun = 32;
// Vectors of channels that are summed at once: as many lines of memory, one after the other.
constexpr int kTogether = 4;

// Mean, less `origin`, and squares of one part's pixels for kColumns vectors of channels, or for
// fewer channels than one vector has.
template <int kColumns, class T>
void sum_part(const T* origin, const T* x, std::int64_t stride, std::int64_t pixels,
              std::int64_t channels, float* mean_out, float* squares_out) {
  Floats mean[kColumns];
  Floats squares[kColumns];
  for (int column = 0; column < kColumns; ++column) mean[column] = squares[column] = all_floats(0);
  for (std::int64_t first = 0; first < pixels; first += kRun) {
    const std::int64_t count = pixels - first < kRun ? pixels - first : kRun;
    const T* run = x + first * stride;
    Floats shift[kColumns];
    Floats sum[kColumns];
    Floats square_sum[kColumns];
    for (int column = 0; column < kColumns; ++column) {
      shift[column] = load_some(run + column * kFloats, channels - column * kFloats);
      sum[column] = square_sum[column] = all_floats(0);
    }
    for (std::int64_t pixel = 1; pixel < count; ++pixel) {
      const T* at = run + pixel * stride;
      for (int column = 0; column < kColumns; ++column) {
        const Floats value = load_some(at + column * kFloats, channels - column * kFloats);
        const Floats distance = subtract(value, shift[column]);
        sum[column] = add(sum[column], distance);
        square_sum[column] = fused(distance, distance, square_sum[column]);
      }
    }
    const float reciprocal = 1.0f / static_cast<float>(count);
    const JoinWeights<float> weights =
        join_weights(static_cast<float>(first), static_cast<float>(count));
    // unshift() and join() of every lane.
    for (int column = 0; column < kColumns; ++column) {
      const Floats offset = multiply(sum[column], all_floats(reciprocal));
      const Floats rest = subtract(square_sum[column], multiply(sum[column], offset));
      const Floats more = maximum(all_floats(0), rest);
      const Floats first_pixel = load_some(origin + column * kFloats, channels - column * kFloats);
      const Floats run_mean = add(subtract(shift[column], first_pixel), offset);
      const Floats distance = subtract(run_mean, mean[column]);
      mean[column] = fused(distance, all_floats(weights.share), mean[column]);
      squares[column] = add(squares[column],
                            fused(multiply(distance, distance), all_floats(weights.spread), more));
    }
  }
  for (int column = 0; column < kColumns; ++column) {
    store_some(mean_out + column * kFloats, channels - column * kFloats, mean[column]);
    store_some(squares_out + column * kFloats, channels - column * kFloats, squares[column]);
  }
}

template <class T>
void sum_parts(const StatisticsParams& p, std::int64_t begin, std::int64_t end) {
  for (std::int64_t index = begin; index < end; ++index) {
    const std::int64_t image = index / p.parts;
    const std::int64_t part = index % p.parts;
    const T* origin = static_cast<const T*>(p.x) + image * p.pixels * p.channels;
    const T* x = origin + part * kPixelsOfPart * p.channels;
    float* mean = p.partial + index * 2 * p.channels;
    float* squares = mean + p.channels;
    const std::int64_t pixels = pixels_of_part(p, part);
    constexpr std::int64_t step = kTogether * kFloats;
    std::int64_t channel = 0;
    for (; channel + step <= p.channels; channel += step) {
      sum_part<kTogether>(origin + channel, x + channel, p.channels, pixels, step, mean + channel,
                          squares + channel);
    }
    for (; channel < p.channels; channel += kFloats) {
      sum_part<1>(origin + channel, x + channel, p.channels, pixels, p.channels - channel,
                  mean + channel, squares + channel);
    }
  }
}

template <class T>
void join_parts(const StatisticsParams& p, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t block = 64;
  for (std::int64_t image = begin; image < end; ++image) {
    for (std::int64_t channel = 0; channel < p.channels; channel += block) {
      const std::int64_t count = p.channels - channel < block ? p.channels - channel : block;
      double mean[block] = {};
      double squares[block] = {};
      for (std::int64_t part = 0; part < p.parts; ++part) {
        const float* from = p.partial + (image * p.parts + part) * 2 * p.channels + channel;
        const JoinWeights<double> weights =
            join_weights(static_cast<double>(part * kPixelsOfPart),
                         static_cast<double>(pixels_of_part(p, part)));
        for (std::int64_t at = 0; at < count; ++at) {
          join<double>(weights, from[at], from[p.channels + at], &mean[at], &squares[at]);
        }
      }
      const T* origin = static_cast<const T*>(p.x) + image * p.pixels * p.channels + channel;
      float* out = p.out + image * 2 * p.channels + channel;
      const double reciprocal = 1.0 / static_cast<double>(p.pixels);
      for (std::int64_t at = 0; at < count; ++at) {
        const double variance = squares[at] * reciprocal;
        out[at] = static_cast<float>(to_float(origin[at]) + mean[at]);
        out[p.channels + at] =
            static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(kVarianceEpsilon)));
      }
    }
  }
}

// One vector of a pixel's channels, or fewer.
template <bool kBiased, class T>
VASA_HD void modulate_some(const ModulateParams& p, const T* x, const float* statistics,
                           const T* maps, T* out, std::int64_t channel, std::int64_t count) {
  const Floats mean = load_some(statistics + channel, count);
  const Floats rstd = load_some(statistics + p.channels + channel, count);
  Floats gamma = load_some(maps + channel, count);
  Floats beta = load_some(maps + p.channels + channel, count);
  if (kBiased) {
    gamma = add(gamma, load_some(p.bias + channel, count));
    beta = add(beta, load_some(p.bias + p.channels + channel, count));
  }
  const Floats normed = multiply(subtract(load_some(x + channel, count), mean), rstd);
  const Floats y = fused(normed, add(all_floats(1.0f), gamma), beta);
  // A slope of at most 1: the larger of the two. NaN stays.
  store_some(out + channel, count, maximum(multiply(y, all_floats(p.slope)), y));
}

template <bool kBiased, class T>
void modulate_typed(const ModulateParams& p, std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = p.factor * p.height;
  const std::int64_t columns = p.factor * p.width;
  const std::int64_t whole = p.channels / kFloats * kFloats;
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t image = row / rows;
    const std::int64_t small_row = image * p.height + row % rows / p.factor;
    const float* statistics = p.statistics + image * 2 * p.channels;
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::int64_t pixel = row * columns + column;
      const T* x =
          static_cast<const T*>(p.x) + (small_row * p.width + column / p.factor) * p.channels;
      const T* maps = static_cast<const T*>(p.gamma_beta) + pixel * 2 * p.channels;
      T* out = static_cast<T*>(p.out) + pixel * p.channels;
      for (std::int64_t channel = 0; channel < whole; channel += kFloats) {
        modulate_some<kBiased>(p, x, statistics, maps, out, channel, kFloats);
      }
      if (whole < p.channels) {
        modulate_some<kBiased>(p, x, statistics, maps, out, whole, p.channels - whole);
      }
    }
  }
}

}  // namespace

// Parts [begin, end) of all images.
void part_statistics(const StatisticsParams& p, std::int64_t begin, std::int64_t end) {
  with_float_type(p.dtype, [&](auto zero) { sum_parts<decltype(zero)>(p, begin, end); });
}

// Images [begin, end): their parts become one, in float64, of which there is little to do.
void join_statistics(const StatisticsParams& p, std::int64_t begin, std::int64_t end) {
  with_float_type(p.dtype, [&](auto zero) { join_parts<decltype(zero)>(p, begin, end); });
}

// Rows [begin, end) of the outputs of all images.
void modulate_rows(const ModulateParams& p, std::int64_t begin, std::int64_t end) {
  with_float_type(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (p.bias != nullptr) {
      modulate_typed<true, T>(p, begin, end);
    } else {
      modulate_typed<false, T>(p, begin, end);
    }
  });
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
