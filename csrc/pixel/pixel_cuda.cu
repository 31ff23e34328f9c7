// CUDA twin: a thread for each 2x2 block of a 4:2:0 frame, or for each pixel of a packed one.
#include "common/cuda_check.cuh"
#include "pixel/pixel_math.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;

__global__ void convert_kernel(PixelParams p) {
  const std::int64_t blocks_per_row = p.width / 2;
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= blocks_per_row * (p.height / 2)) return;
  const ChromaLayout chroma = chroma_layout(p);
  convert_block(p, chroma, 2 * (index % blocks_per_row), 2 * (index / blocks_per_row));
}

__global__ void reorder_kernel(PixelParams p) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index < p.width * p.height) reorder_pixel(p, index);
}

}  // namespace

void launch_pixel(const PixelParams& p, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  auto* cuda_stream = static_cast<cudaStream_t>(stream);
  if (is_planar(p.format)) {
    const std::int64_t count = (p.width / 2) * (p.height / 2);
    convert_kernel<<<blocks_for(count, kThreads), kThreads, 0, cuda_stream>>>(p);
  } else {
    reorder_kernel<<<blocks_for(p.width * p.height, kThreads), kThreads, 0, cuda_stream>>>(p);
  }
  VASA_CUDA_CHECK(cudaGetLastError());
}

}  // namespace vasa_cam
