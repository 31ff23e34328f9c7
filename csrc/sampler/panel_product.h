// Products of a few rows with panels of 32 outputs: the sums of a block of rows stay in registers.
#pragma once

#include <algorithm>

#include "sampler/sampler_data.h"
#include "sampler/vectors.h"

#define VASA_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define VASA_UNROLL(count) VASA_PRAGMA(unroll count)
#elif defined(__GNUC__)
#define VASA_UNROLL(count) VASA_PRAGMA(GCC unroll count)
#else
#define VASA_UNROLL(count)
#endif

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

// Rows of the left factor that are multiplied by several panels before the next ones, so that they
// stay in the second-level cache.
constexpr std::int64_t kRowsTogether = 4 * kRows;

alignas(64) constexpr float kZeros[kPanel] = {};

struct RowBlock {
  const float* data;
  std::int64_t stride;  // floats between rows
  std::int64_t count;
};

// Fetches what a stage needs next, usually the panel that follows, to the second-level cache; a
// live window finds its weights evicted by the frames rendered meanwhile, and is a sixth faster for
// it.
VASA_HD void prefetch(const float* at) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(at, 0, 2);
#else
  static_cast<void>(at);
#endif
}

// out[r][c] = start[c] + sum_k a[r][k] * panel[k][c] for kCount rows and kPanel outputs. Three
// pointers that the compiler cannot trace back to one: each reaches five rows by an address of base
// and scaled stride, where fourteen pointers would not fit into the registers.
template <int kCount>
void product_block(const float* a, std::int64_t stride, std::int64_t depth, const float* panel,
                   const float* start, float* out, std::int64_t out_stride) {
  constexpr std::int64_t kStep = kColumns * kLanes;
  static_assert(kPanel % kStep == 0, "a panel is a whole number of steps");
  for (std::int64_t column = 0; column < kPanel; column += kStep) {
    Vector sums[kCount][kColumns];
    for (int row = 0; row < kCount; ++row) {
      for (int part = 0; part < kColumns; ++part) {
        sums[row][part] = load(start + column + part * kLanes);
      }
    }
    const float* near = a;
    const float* middle = kCount > 5 ? a + 5 * stride : a;
    const float* far = kCount > 10 ? a + 10 * stride : a;
#if defined(__GNUC__) || defined(__clang__)
    asm("" : "+r"(near), "+r"(middle), "+r"(far));
#endif
    const float* weights = panel + column;
    const float* coming = weights + depth * kPanel;
    VASA_UNROLL(4)
    for (std::int64_t k = 0; k < depth; ++k) {
      prefetch(coming);
      prefetch(coming + kPanel / 2);
      coming += kPanel;
      Vector weight[kColumns];
      for (int part = 0; part < kColumns; ++part) weight[part] = load(weights + part * kLanes);
      VASA_UNROLL(16)
      for (int row = 0; row < kCount; ++row) {
        const float* base = row < 5    ? near + row * stride
                            : row < 10 ? middle + (row - 5) * stride
                                       : far + (row - 10) * stride;
        const Vector value = all(*base);
        for (int part = 0; part < kColumns; ++part) {
          sums[row][part] = multiply_add(value, weight[part], sums[row][part]);
        }
      }
      ++near;
      ++middle;
      ++far;
      weights += kPanel;
    }
    for (int row = 0; row < kCount; ++row) {
      for (int part = 0; part < kColumns; ++part) {
        store(out + row * out_stride + column + part * kLanes, sums[row][part]);
      }
    }
  }
}

template <int kCount = kRows>
void product_rows(const RowBlock& a, std::int64_t depth, const float* panel, const float* start,
                  float* out, std::int64_t out_stride) {
  if (a.count == kCount) {
    product_block<kCount>(a.data, a.stride, depth, panel, start, out, out_stride);
  } else if constexpr (kCount > 1) {
    product_rows<kCount - 1>(a, depth, panel, start, out, out_stride);
  }
}

// Calls body(first row, count) for blocks of at most kRows rows that differ by at most one.
template <class Body>
void for_row_blocks(std::int64_t count, Body&& body) {
  std::int64_t blocks = (count + kRows - 1) / kRows;
  for (std::int64_t row = 0; blocks > 0; --blocks) {
    const std::int64_t rows = (count - row + blocks - 1) / blocks;
    body(row, rows);
    row += rows;
  }
}

// Calls keep(panel, first row, rows, tile) with tile[rows][kPanel] = start + a panel, for the
// panels [first, last) and all rows. `panels` and `start` are those of panel 0.
template <class Keep>
void multiply(const RowBlock& a, std::int64_t depth, const float* panels, const float* start,
              std::int64_t first, std::int64_t last, Keep&& keep) {
  alignas(64) float tile[kRows * kPanel];
  for (std::int64_t chunk = 0; chunk < a.count; chunk += kRowsTogether) {
    const std::int64_t count = std::min(kRowsTogether, a.count - chunk);
    for (std::int64_t panel = first; panel < last; ++panel) {
      const float* weights = panels + panel * depth * kPanel;
      const float* begin = start != nullptr ? start + panel * kPanel : kZeros;
      for_row_blocks(count, [&](std::int64_t row, std::int64_t rows) {
        const RowBlock block{a.data + (chunk + row) * a.stride, a.stride, rows};
        product_rows(block, depth, weights, begin, tile, kPanel);
        keep(panel, chunk + row, rows, tile);
      });
    }
  }
}

}  // namespace
}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
