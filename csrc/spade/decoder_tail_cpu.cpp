// CPU twin of decoder_tail: levels of a stretch of cells, then their places.
#include "spade/some_floats.h"
#include "spade/tail_math.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kCells = 64;  // of a stretch

template <class T>
VASA_HD void take_numbers(const T* x, std::int64_t count, float* values) {
  std::int64_t at = 0;
  for (; at + kFloats <= count; at += kFloats) store_floats(values + at, load_floats(x + at));
  for (; at < count; ++at) values[at] = to_float(x[at]);
}

template <class T>
void levels_of(const T* x, std::int64_t stride, std::int64_t cells, std::uint8_t* levels) {
  float values[kCells * kCellNumbers];
  if (stride == kCellNumbers) {
    take_numbers(x, cells * kCellNumbers, values);
  } else {
    for (std::int64_t cell = 0; cell < cells; ++cell) {
      take_numbers(x + cell * stride, kCellNumbers, values + cell * kCellNumbers);
    }
  }
  for (std::int64_t at = 0; at < cells * kCellNumbers; ++at) levels[at] = level_of(values[at]);
}

template <class T>
void tail_typed(const TailParams& p, std::int64_t begin, std::int64_t end) {
  std::uint8_t levels[kCells * kCellNumbers];
  for (std::int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(p.x) + row * p.width * p.stride;
    std::uint8_t* out = p.out + row / p.height * picture_bytes(p);
    const std::int64_t y = row % p.height;
    for (std::int64_t first = 0; first < p.width; first += kCells) {
      const std::int64_t count = p.width - first < kCells ? p.width - first : kCells;
      levels_of(x + first * p.stride, p.stride, count, levels);
      for (std::int64_t cell = 0; cell < count; ++cell) {
        if (p.planar) {
          put_i420(p, out, y, first + cell, levels + cell * kCellNumbers);
        } else {
          put_rgb(p, out, y, first + cell, levels + cell * kCellNumbers);
        }
      }
    }
  }
}

}  // namespace

// Rows [begin, end) of cells of all images.
void tail_rows(const TailParams& p, std::int64_t begin, std::int64_t end) {
  with_float_type(p.dtype, [&](auto zero) { tail_typed<decltype(zero)>(p, begin, end); });
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
