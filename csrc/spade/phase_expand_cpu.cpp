// CPU twin of phase_expand: pixel by pixel of the large map, channels fill the vectors.
#include "spade/phase_math.h"
#include "spade/some_floats.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

template <class T>
VASA_HD void expand_some(const T* from, const float* bias, bool relu, std::int64_t count, T* to) {
  const Floats sum = add(load_some(from, count), load_some(bias, count));
  // NaN stays.
  store_some(to, count, relu ? maximum(all_floats(0.0f), sum) : sum);
}

template <class T>
void expand_typed(const PhaseParams& p, std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = p.factor * p.height;
  const std::int64_t columns = p.factor * p.width;
  const std::int64_t of_group = p.channels / p.groups;
  const std::int64_t whole = of_group / kFloats * kFloats;
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t image = row / rows;
    const std::int64_t y = row % rows;
    const PhaseAxis vertical = phase_axis(p.factor, y / p.factor, y % p.factor);
    for (std::int64_t x = 0; x < columns; ++x) {
      const PhaseSource source =
          phase_source(p, image, vertical, phase_axis(p.factor, x / p.factor, x % p.factor));
      const T* from = static_cast<const T*>(source.part) + source.offset;
      for (std::int64_t group = 0; group < p.groups; ++group) {
        const std::int64_t pixel = (group * p.images * rows + row) * columns + x;
        T* to = static_cast<T*>(p.out) + pixel * of_group;
        const T* mine = from + group * of_group;
        const float* bias = p.bias + group * of_group;
        for (std::int64_t at = 0; at < whole; at += kFloats) {
          expand_some(mine + at, bias + at, p.relu, kFloats, to + at);
        }
        if (whole < of_group) {
          expand_some(mine + whole, bias + whole, p.relu, of_group - whole, to + whole);
        }
      }
    }
  }
}

}  // namespace

// Rows [begin, end) of the large maps of all images.
void expand_rows(const PhaseParams& p, std::int64_t begin, std::int64_t end) {
  with_float_type(p.dtype, [&](auto zero) { expand_typed<decltype(zero)>(p, begin, end); });
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
