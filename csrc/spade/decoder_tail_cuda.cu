// CUDA twin of decoder_tail, on the caller's stream: a thread for each cell.
#include "common/half.h"
#include "common/launch.cuh"
#include "spade/spade_checks.h"
#include "spade/tail_math.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;

// A quarter of a cell's numbers.
template <class T>
struct alignas(4 * sizeof(T)) Quarter {
  T numbers[4];
};

template <class T, bool kAligned>
__global__ void __launch_bounds__(kThreads) tail_kernel(TailParams p) {
  const unsigned width = static_cast<unsigned>(p.width);
  const unsigned cells = static_cast<unsigned>(p.height) * width;
  const unsigned cell = blockIdx.x * kThreads + threadIdx.x;
  if (cell >= cells) return;
  const std::int64_t image = blockIdx.y;
  const T* x = static_cast<const T*>(p.x) + (image * cells + cell) * p.stride;
  std::uint8_t levels[kCellNumbers];
#pragma unroll
  for (int colour = 0; colour < 3; ++colour) {
    Quarter<T> quarter;
    if constexpr (kAligned) {
      quarter = *reinterpret_cast<const Quarter<T>*>(x + colour * 4);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) quarter.numbers[i] = x[colour * 4 + i];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) levels[colour * 4 + i] = level_of(to_float(quarter.numbers[i]));
  }
  std::uint8_t* out = p.out + image * picture_bytes(p);
  const unsigned y = cell / width;
  if (p.planar) {
    put_i420(p, out, y, cell - y * width, levels);
  } else {
    put_rgb(p, out, y, cell - y * width, levels);
  }
}

template <class T>
void launch_typed(const TailParams& p, void* stream) {
  const dim3 blocks(blocks_for(p.height * p.width, kThreads), static_cast<unsigned>(p.images));
  if (p.stride % 4 == 0 && reinterpret_cast<std::uintptr_t>(p.x) % sizeof(Quarter<T>) == 0) {
    launch_kernel(tail_kernel<T, true>, blocks, kThreads, stream, p);
  } else {
    launch_kernel(tail_kernel<T, false>, blocks, kThreads, stream, p);
  }
}

}  // namespace

void launch_decoder_tail(const TailParams& p, int device_id, void* stream) {
  require(p.images <= kMostBlocks && p.height * p.width < (1LL << 31) - kThreads, "decoder_tail",
          "on a GPU, x must have at most 65,535 images, of less than 2^31 cells");
  const CudaDeviceGuard guard(device_id);
  with_float_type(p.dtype, [&](auto zero) { launch_typed<decltype(zero)>(p, stream); });
}

}  // namespace vasa_cam
