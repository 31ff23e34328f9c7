// How kernels of one parameter struct are launched. Through here and not by <<<>>>, so that the C++
// tests can run the kernels themselves on a CPU (tests/cpp/emulated_cuda).
#pragma once

#include "common/cuda_check.cuh"

namespace vasa_cam {

template <class Params>
void launch_kernel(void (*kernel)(Params), dim3 blocks, int threads, void* stream,
                   const Params& params) {
#ifdef __CUDACC__
  kernel<<<blocks, static_cast<unsigned>(threads), 0, static_cast<cudaStream_t>(stream)>>>(params);
  VASA_CUDA_CHECK(cudaGetLastError());
#else
  emulated_cuda::launch(static_cast<cudaStream_t>(stream), blocks, threads,
                        [kernel, params] { kernel(params); });
#endif
}

}  // namespace vasa_cam
