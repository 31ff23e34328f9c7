// The CPU twin works on bands of rows that fit the second-level cache; a band draws a few rows of
// its neighbours too, because antialiasing looks at them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/memory_block.h"
#include "warp_mesh/warp_math.h"

namespace vasa_cam {

constexpr std::int32_t kBandRows = 32;
// Rows above and below a band whose texture coordinates it needs.
constexpr std::int32_t kRowsAbove = 2;
constexpr std::int32_t kRowsBelow = 1;
// Space around a row: vectors may run over its end, neighbours are read before its start.
constexpr std::int32_t kRowSlack = 16;

// Rows of a frame that a triangle touches; last < first for one that is not drawn.
using RowRange = PixelRange;

// Scratch of one band. Row 0 of the planes is kRowsAbove above the band, row 0 of the others is one
// row above it.
struct WarpBand {
  std::int32_t first;  // rows of the frame
  std::int32_t end;
  std::int64_t stride;    // elements in a row of a plane and of `colour`
  float* depth;           // [rows, stride]
  float* u;               //
  float* v;               //
  float* shade;           //
  float* fold;            //
  std::uint32_t* colour;  // RGBA before antialiasing
  // Flags, a bit for each pixel of a row.
  std::int64_t word_stride;  // words in a row
  std::uint64_t* jump;       // [rows, word_stride] where the texture coordinate jumps
  std::uint64_t* column;     // [-1..word_stride] the jumps of three rows, 0 at both ends
  std::uint64_t* smooth;     // [word_stride] where a row is antialiased

  std::int64_t plane_row(std::int32_t y) const { return (y - first + kRowsAbove) * stride; }
  std::int64_t row(std::int32_t y) const { return (y - first + 1) * stride; }
  std::int64_t words(std::int32_t y) const { return (y - first + 1) * word_stride; }
};

// Pointers into `base`, or all null with only `bytes` counted.
inline WarpBand lay_out_band(std::int32_t width, char* base, std::int64_t* bytes) {
  Layout layout(base);
  WarpBand band{};
  band.stride = (width + 2 * kRowSlack + 15) / 16 * 16;
  band.word_stride = (width + 63) / 64;
  const std::int64_t plane = (kBandRows + kRowsAbove + kRowsBelow) * band.stride;
  const std::int64_t rows = (kBandRows + 2) * band.stride;
  const auto take = [&](auto& array, std::int64_t count) {
    using T = std::remove_reference_t<decltype(*array)>;
    array = layout.take<T>(count + kRowSlack);
    if (array != nullptr) array += kRowSlack;
  };
  take(band.depth, plane);
  take(band.u, plane);
  take(band.v, plane);
  take(band.shade, plane);
  take(band.fold, plane);
  take(band.colour, rows);
  take(band.jump, (kBandRows + 2) * band.word_stride);
  take(band.column, band.word_stride + 1);
  take(band.smooth, band.word_stride);
  *bytes = layout.bytes();
  return band;
}

}  // namespace vasa_cam
