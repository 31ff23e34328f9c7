// Tensor cores: the first lane of a warp holds whole tiles and computes for all. It runs before the
// others, so that a kernel whose lanes do not wait for each other gives wrong numbers.
#pragma once

#include <cstdlib>

#include "common/half.h"
#include "cuda_runtime.h"

using __half = vasa_cam::Half;
using __nv_bfloat16 = vasa_cam::BFloat16;

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major };
namespace precision {
struct tf32 {};
}  // namespace precision

template <class Use, int kM, int kN, int kK, class T, class Layout = void>
struct fragment;

template <int kM, int kN, int kK, class T, class Layout>
struct fragment<matrix_a, kM, kN, kK, T, Layout> {
  static constexpr int rows = kM, columns = kK, num_elements = rows * columns;
  float x[num_elements];
};
template <int kM, int kN, int kK, class T, class Layout>
struct fragment<matrix_b, kM, kN, kK, T, Layout> {
  static constexpr int rows = kK, columns = kN, num_elements = rows * columns;
  float x[num_elements];
};
template <int kM, int kN, int kK, class T>
struct fragment<accumulator, kM, kN, kK, T, void> {
  static constexpr int rows = kM, columns = kN, num_elements = rows * columns;
  float x[num_elements];
};

inline void demand(bool condition) {
  if (!condition) std::abort();
}

// What the real functions demand: 32 bytes, and rows at whole multiples of 16 bytes.
template <class T>
void demand_aligned(const T* at, unsigned pitch) {
  demand(reinterpret_cast<std::uintptr_t>(at) % 32 == 0 && pitch * sizeof(T) % 16 == 0);
}

template <class Fragment>
void fill_fragment(Fragment& fragment, float value) {
  for (float& element : fragment.x) element = value;
}

template <class Use, int kM, int kN, int kK, class T, class Layout, class Stored>
void load_matrix_sync(fragment<Use, kM, kN, kK, T, Layout>& to, const Stored* from,
                      unsigned pitch) {
  demand_aligned(from, pitch);
  if (emulated_cuda::lane() != 0) return;
  using Fragment = fragment<Use, kM, kN, kK, T, Layout>;
  constexpr bool by_rows = std::is_same_v<Layout, row_major>;
  for (int row = 0; row < Fragment::rows; ++row) {
    for (int column = 0; column < Fragment::columns; ++column) {
      const unsigned at = by_rows ? row * pitch + column : column * pitch + row;
      to.x[row * Fragment::columns + column] = vasa_cam::to_float(from[at]);
    }
  }
}

template <int kM, int kN, int kK, class T, class LayoutA, class LayoutB>
void mma_sync(fragment<accumulator, kM, kN, kK, float>& to,
              const fragment<matrix_a, kM, kN, kK, T, LayoutA>& a,
              const fragment<matrix_b, kM, kN, kK, T, LayoutB>& b,
              const fragment<accumulator, kM, kN, kK, float>& c) {
  if (emulated_cuda::lane() != 0) return;
  for (int row = 0; row < kM; ++row) {
    for (int column = 0; column < kN; ++column) {
      float sum = c.x[row * kN + column];
      for (int k = 0; k < kK; ++k) sum += a.x[row * kK + k] * b.x[k * kN + column];
      to.x[row * kN + column] = sum;
    }
  }
}

template <int kM, int kN, int kK>
void store_matrix_sync(float* to, const fragment<accumulator, kM, kN, kK, float>& from,
                       unsigned pitch, layout_t) {
  demand_aligned(to, pitch);
  if (emulated_cuda::lane() != 0) return;
  for (int row = 0; row < kM; ++row) {
    for (int column = 0; column < kN; ++column) {
      to[row * pitch + column] = from.x[row * kN + column];
    }
  }
}

// Ten bits of mantissa, to the nearest.
inline float __float_to_tf32(float value) {
  const std::uint32_t bits = vasa_cam::bits_of_float(value);
  return vasa_cam::float_of_bits((bits + 0x1000u) & 0xffffe000u);
}

}  // namespace nvcuda::wmma
