// How kernels of one parameter struct are launched. Through here and not by <<<>>>, so that the C++
// tests can run the kernels themselves on a CPU (tests/cpp/emulated_cuda).
#pragma once

#include "common/cuda_check.cuh"

namespace vasa_cam {

struct LaunchShape {
  dim3 blocks;
  dim3 threads;
  std::size_t shared_bytes = 0;  // what dynamic_shared() gives
};

template <class Params>
void launch_kernel(void (*kernel)(Params), const LaunchShape& shape, void* stream,
                   const Params& params) {
#ifdef __CUDACC__
  kernel<<<shape.blocks, shape.threads, shape.shared_bytes, static_cast<cudaStream_t>(stream)>>>(
      params);
  VASA_CUDA_CHECK(cudaGetLastError());
#else
  emulated_cuda::launch(static_cast<cudaStream_t>(stream), shape.blocks, shape.threads,
                        [kernel, params] { kernel(params); });
#endif
}

template <class Params>
void launch_kernel(void (*kernel)(Params), dim3 blocks, int threads, void* stream,
                   const Params& params) {
  launch_kernel(kernel, LaunchShape{blocks, dim3(static_cast<unsigned>(threads))}, stream, params);
}

// The block's shared memory of the launch's size, on 16 bytes.
__device__ __forceinline__ char* dynamic_shared() {
#ifdef __CUDACC__
  extern __shared__ uint4 launch_shared[];
  return reinterpret_cast<char*>(launch_shared);
#else
  return emulated_cuda::shared_memory();
#endif
}

}  // namespace vasa_cam
