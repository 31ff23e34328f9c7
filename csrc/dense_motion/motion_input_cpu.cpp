// CPU twin of dense_motion_input: a row of voxels at a time, candidate by candidate. The rows of
// `compressed` around it are combined in y and z first, in long vectors; what is left is a lookup
// along x.
#include <algorithm>
#include <type_traits>

#include "common/float4.h"
#include "common/floats.h"
#include "dense_motion/motion_terms.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kChannels = kCompressedChannels;

VASA_HD Float4 load_voxel(const float* at) {
  Float4 voxel;
  memcpy(&voxel, at, sizeof voxel);
  return voxel;
}

// Weighted rows y and z around a place, less those that are outside, into combined [width, 4].
template <class T>
void combine_rows(const T* sample, const VolumeSize& size, const AxisPlace& y, const AxisPlace& z,
                  float* combined) {
  const std::int64_t count = size.width * kChannels;
  const T* rows[4];
  float weights[4];
  int used = 0;
  for (std::int32_t near = 0; near < 4; ++near) {
    const std::int32_t slice = z.low + (near >> 1);
    const std::int32_t line = y.low + (near & 1);
    if (!within(slice, size.depth) || !within(line, size.height)) continue;
    rows[used] = sample + (static_cast<std::int64_t>(slice) * size.height + line) * count;
    weights[used] = weight_of(z, near >> 1) * weight_of(y, near & 1);
    ++used;
  }
  if (used == 0) {
    std::fill(combined, combined + count, 0.0f);
    return;
  }
  std::int64_t at = 0;
  for (; at + kFloats <= count; at += kFloats) {
    Floats sum = multiply(all_floats(weights[0]), load_floats(rows[0] + at));
    for (int row = 1; row < used; ++row) {
      sum = fused(all_floats(weights[row]), load_floats(rows[row] + at), sum);
    }
    store_floats(combined + at, sum);
  }
  for (; at < count; ++at) {
    float sum = weights[0] * to_float(rows[0][at]);
    for (int row = 1; row < used; ++row) sum += weights[row] * to_float(rows[row][at]);
    combined[at] = sum;
  }
}

// A candidate's five numbers of every voxel in a row: out[0..4], and on from there at `step`.
void look_up_row(const AxisTerm* x, const AxisTerm& y, const AxisTerm& z, std::int32_t width,
                 const float* combined, std::int64_t step, float* out) {
  const float driving = y.driving_heat * z.driving_heat;
  const float source = y.source_heat * z.source_heat;
  for (std::int32_t index = 0; index < width; ++index, out += step) {
    const AxisTerm& term = x[index];
    const float* near = combined + static_cast<std::int64_t>(term.place.low) * kChannels;
    const Float4 looked_up = splat(1.0f - term.place.upper) * load_voxel(near) +
                             splat(term.place.upper) * load_voxel(near + kChannels);
    out[0] = term.driving_heat * driving - term.source_heat * source;
    memcpy(out + 1, &looked_up, sizeof looked_up);
  }
}

template <class T>
void write_row(const MotionInputParams& p, const MotionTerms& terms, const RowScratch& scratch,
               std::int64_t row) {
  const std::int64_t rows = static_cast<std::int64_t>(p.size.depth) * p.size.height;
  const std::int64_t sample = row / rows;
  const auto z = static_cast<std::int32_t>(row % rows / p.size.height);
  const auto y = static_cast<std::int32_t>(row % p.size.height);
  const T* compressed = static_cast<const T*>(p.compressed) + sample * p.sample_stride;
  const std::int64_t step = terms.candidates * kCandidateNumbers;
  const std::int64_t numbers = p.size.width * step;
  T* out = static_cast<T*>(p.out) + row * numbers;

  float* target = scratch.row;
  if constexpr (std::is_same_v<T, float>) target = out;
  const AxisTerm* term = terms.first + sample * terms.numbers_per_sample();
  for (std::int32_t candidate = 0; candidate < terms.candidates; ++candidate) {
    const AxisTerm& here_y = term[p.size.width + y];
    const AxisTerm& here_z = term[p.size.width + p.size.height + z];
    combine_rows(compressed, p.size, here_y.place, here_z.place, scratch.combined);
    look_up_row(term, here_y, here_z, p.size.width, scratch.combined, step,
                target + candidate * kCandidateNumbers);
    term += terms.numbers_per_candidate();
  }
  if constexpr (!std::is_same_v<T, float>) {
    std::int64_t at = 0;
    for (; at + kFloats <= numbers; at += kFloats) {
      store_floats(out + at, load_floats(static_cast<const float*>(target) + at));
    }
    for (; at < numbers; ++at) out[at] = from_float<T>(target[at]);
  }
}

}  // namespace

// Rows [begin, end) of voxels, counted over all samples.
void motion_input_rows(const MotionInputParams& p, const MotionTerms& terms,
                       const RowScratch& scratch, std::int64_t begin, std::int64_t end) {
  with_float_type(p.dtype, [&](auto element) {
    for (std::int64_t row = begin; row < end; ++row) {
      write_row<decltype(element)>(p, terms, scratch, row);
    }
  });
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
