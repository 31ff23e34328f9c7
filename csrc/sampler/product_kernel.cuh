// A product of token rows with a weight matrix on tensor cores, with everything around it: the norm
// before, and bias, SiLU or the residual after.
//
// Tensor cores take tf32, whose 10 bits of mantissa would show in the motion. So every factor is
// split into a tf32 and what it leaves, and three products are summed: close to float32, while the
// time goes into fetching weights anyway. Processors before sm_80 have no tf32 and use plain sums.
#pragma once

#include <mma.h>

#include "sampler/token_kernels.cuh"

namespace vasa_cam {
namespace {

constexpr int kTile = 32;              // rows and outputs of a block
constexpr int kDepth = 64;             // inputs that are fetched at once
constexpr int kStride = kDepth + 8;    // of a tile in shared memory; avoids bank conflicts
constexpr int kSumStride = kTile + 4;  // of the sums
constexpr int kProductThreads = 256;   // a quarter of the tile and half of the inputs for each warp

enum class Keep { plain, silu, gelu, add };

struct Product {
  const float* input;  // [tokens of all passes, inputs]
  std::int64_t input_stride;
  TokenRows map;      // which tokens
  std::int64_t rows;  // how many, in all passes
  Affine affine;
  const float* residual;  // added by Keep::add
  float* output;          // [tokens of all passes, outputs]
  std::int64_t output_stride;
  // Outputs below this are needed for the last `asked` tokens of each pass only.
  std::int64_t queries = 0;
  std::int64_t asked = 0;
};

// Four inputs of a row of weights or tokens; zero past the end.
__device__ float4 fetch4(const float* row, std::int64_t at, std::int64_t inputs) {
  if (row == nullptr || at >= inputs) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  float4 values = *reinterpret_cast<const float4*>(row + at);
  if (at + 1 >= inputs) values.y = 0.0f;
  if (at + 2 >= inputs) values.z = 0.0f;
  if (at + 3 >= inputs) values.w = 0.0f;
  return values;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

// Sums of one warp's quarter of the tile over its half of the inputs.
class TileSums {
  template <class Use, class Layout>
  using Factor = nvcuda::wmma::fragment<Use, 16, 16, 8, nvcuda::wmma::precision::tf32, Layout>;

 public:
  __device__ TileSums() { nvcuda::wmma::fill_fragment(sums_, 0.0f); }

  __device__ void add(const float* rows, const float* weights) {
    namespace wmma = nvcuda::wmma;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const float* a = rows + warp % 2 * 16 * kStride;
    const float* b = weights + warp / 2 % 2 * 16 * kStride;
    const int first = warp / 4 * (kDepth / 2);
    for (int k = first; k < first + kDepth / 2; k += 8) {
      Factor<wmma::matrix_a, wmma::row_major> row_high, row_low;
      Factor<wmma::matrix_b, wmma::col_major> weight_high, weight_low;
      wmma::load_matrix_sync(row_high, a + k, kStride);
      wmma::load_matrix_sync(weight_high, b + k, kStride);
      split(row_high, row_low);
      split(weight_high, weight_low);
      wmma::mma_sync(sums_, row_low, weight_high, sums_);
      wmma::mma_sync(sums_, row_high, weight_low, sums_);
      wmma::mma_sync(sums_, row_high, weight_high, sums_);
    }
  }

  // To [2][kTile][kSumStride], the two halves of the inputs.
  __device__ void store(float* sums) const {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int row = warp / 4 * kTile + warp % 2 * 16;
    nvcuda::wmma::store_matrix_sync(sums + row * kSumStride + warp / 2 % 2 * 16, sums_, kSumStride,
                                    nvcuda::wmma::mem_row_major);
  }

 private:
  template <class Fragment>
  static __device__ void split(Fragment& high, Fragment& low) {
    for (int at = 0; at < high.num_elements; ++at) {
      const float whole = high.x[at];
      high.x[at] = nvcuda::wmma::__float_to_tf32(whole);
      low.x[at] = nvcuda::wmma::__float_to_tf32(whole - high.x[at]);
    }
  }

  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 8, float> sums_;
};

#else

// Sums of one thread: four outputs of a row.
class TileSums {
 public:
  __device__ void add(const float* rows, const float* weights) {
    const float* a = rows + static_cast<int>(threadIdx.x) / 8 * kStride;
    const float* b = weights + static_cast<int>(threadIdx.x) % 8 * kStride;
    for (int k = 0; k < kDepth; ++k) {
      for (int part = 0; part < 4; ++part) sums_[part] += a[k] * b[8 * part * kStride + k];
    }
  }

  __device__ void store(float* sums) const {
    const int row = static_cast<int>(threadIdx.x) / 8;
    for (int part = 0; part < 4; ++part) {
      const int at = row * kSumStride + 8 * part + static_cast<int>(threadIdx.x) % 8;
      sums[at] = sums_[part];
      sums[kTile * kSumStride + at] = 0.0f;
    }
  }

 private:
  float sums_[4] = {};
};

#endif

// Brings the next inputs of a block's rows and weights from memory through registers to a tile, so
// that the way is made while the tile before is multiplied.
template <bool kNormed>
class TileFetch {
  static constexpr int kParts = kTile * kDepth / 4 / kProductThreads;

 public:
  __device__ TileFetch(const Product& p, const std::int64_t* rows, const RowNorm* norms,
                       std::int64_t first_output)
      : inputs_(p.affine.inputs) {
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t row = rows[line(part)];
      row_[part] = row < 0 ? nullptr : p.input + row * p.input_stride;
      weight_[part] = p.affine.weight + (first_output + line(part)) * padded(inputs_);
      if (kNormed) norm_[part] = norms[line(part)];
    }
  }

  __device__ void fetch(std::int64_t first_input) {
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t at = first_input + column();
      staged_weight_[part] = fetch4(weight_[part], at, inputs_);
      float4 row = fetch4(row_[part], at, inputs_);
      if (kNormed) {
        const RowNorm norm = norm_[part];
        row.x = (row.x - norm.mean) * norm.scale;
        row.y = (row.y - norm.mean) * norm.scale;
        row.z = (row.z - norm.mean) * norm.scale;
        row.w = (row.w - norm.mean) * norm.scale;
      }
      staged_row_[part] = row;
    }
  }

  __device__ void store(float* rows, float* weights) const {
    for (int part = 0; part < kParts; ++part) {
      const int at = line(part) * kStride + column();
      *reinterpret_cast<float4*>(rows + at) = staged_row_[part];
      *reinterpret_cast<float4*>(weights + at) = staged_weight_[part];
    }
  }

 private:
  static constexpr int kThreadsOfLine = kDepth / 4;

  static __device__ int line(int part) {
    return (part * kProductThreads + static_cast<int>(threadIdx.x)) / kThreadsOfLine;
  }
  static __device__ int column() { return static_cast<int>(threadIdx.x) % kThreadsOfLine * 4; }

  std::int64_t inputs_;
  const float* row_[kParts];
  const float* weight_[kParts];
  RowNorm norm_[kParts];
  float4 staged_row_[kParts];
  float4 staged_weight_[kParts];
};

template <bool kNormed, Keep kKeep>
__global__ void __launch_bounds__(kProductThreads) product_kernel(Product p) {
  __shared__ __align__(128) float tiles[2][2][kTile * kStride];  // [turn][rows, weights]
  __shared__ std::int64_t rows[kTile];
  __shared__ RowNorm norms[kTile];
  let_next_begin();
  wait_for_previous();
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t first_output = static_cast<std::int64_t>(blockIdx.x) * kTile;
  bool asked = first_output + kTile > p.queries;
  if (thread < kTile) {
    const std::int64_t index = static_cast<std::int64_t>(blockIdx.y) * kTile + thread;
    const std::int64_t row = index < p.rows ? p.map.row(index) : -1;
    rows[thread] = row;
    asked = asked || (row >= 0 && row % p.map.tokens >= p.map.tokens - p.asked);
  }
  if (!__syncthreads_or(asked)) return;
  if (kNormed) {
    for (int row = thread / kWarp; row < kTile; row += kProductThreads / kWarp) {
      if (rows[row] < 0) continue;
      const RowNorm norm = norm_of(p.input + rows[row] * p.input_stride, p.affine.inputs);
      if (thread % kWarp == 0) norms[row] = norm;
    }
    __syncthreads();
  }

  TileSums sums;
  TileFetch<kNormed> next(p, rows, norms, first_output);
  next.fetch(0);
  next.store(tiles[0][0], tiles[0][1]);
  __syncthreads();
  int turn = 0;
  for (std::int64_t input = 0; input < p.affine.inputs; input += kDepth, turn ^= 1) {
    const bool more = input + kDepth < p.affine.inputs;
    if (more) next.fetch(input + kDepth);
    sums.add(tiles[turn][0], tiles[turn][1]);
    if (more) next.store(tiles[turn ^ 1][0], tiles[turn ^ 1][1]);
    __syncthreads();
  }

  float* halves = tiles[0][0];
  sums.store(halves);
  __syncthreads();
  for (int at = thread; at < kTile * kTile; at += kProductThreads) {
    const std::int64_t row = rows[at / kTile];
    const std::int64_t output = first_output + at % kTile;
    if (row < 0 || output >= p.affine.outputs) continue;
    const int sum = at / kTile * kSumStride + at % kTile;
    const float value = halves[sum] + halves[kTile * kSumStride + sum] + p.affine.bias[output];
    const std::int64_t to = row * p.output_stride + output;
    p.output[to] = kKeep == Keep::silu   ? silu(value)
                   : kKeep == Keep::gelu ? gelu(value)
                   : kKeep == Keep::add  ? p.residual[to] + value
                                         : value;
  }
}

template <bool kNormed, Keep kKeep>
void launch_product(const LaunchQueue& queue, const Product& p) {
  LaunchShape shape;
  shape.blocks = dim3(blocks_for(p.affine.outputs, kTile), blocks_for(p.rows, kTile));
  shape.threads = kProductThreads;
  launch(queue, product_kernel<kNormed, kKeep>, shape, p);
}

template <bool kNormed>
void launch_active_product(const LaunchQueue& queue, const Product& p, Activation activation) {
  if (activation == Activation::gelu) {
    launch_product<kNormed, Keep::gelu>(queue, p);
  } else {
    launch_product<kNormed, Keep::silu>(queue, p);
  }
}

}  // namespace
}  // namespace vasa_cam
