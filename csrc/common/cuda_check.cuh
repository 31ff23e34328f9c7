// Checks and guards that every CUDA launcher uses.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace vasa_cam {

inline void throw_cuda_error(cudaError_t status, const char* expression, const char* file,
                             int line) {
  // Clears the sticky error: without this the next, innocent call would report it again.
  static_cast<void>(cudaGetLastError());
  throw std::runtime_error(std::string("CUDA: ") + expression + " failed with " +
                           cudaGetErrorName(status) + " (" + cudaGetErrorString(status) + ") at " +
                           file + ":" + std::to_string(line));
}

}  // namespace vasa_cam

#define VASA_CUDA_CHECK(expression)                                               \
  do {                                                                            \
    const cudaError_t vasa_status = (expression);                                 \
    if (vasa_status != cudaSuccess) {                                             \
      ::vasa_cam::throw_cuda_error(vasa_status, #expression, __FILE__, __LINE__); \
    }                                                                             \
  } while (false)

namespace vasa_cam {

// Runs on the tensors' device, and goes back to the caller's when the launcher ends.
class CudaDeviceGuard {
 public:
  explicit CudaDeviceGuard(int device) {
    VASA_CUDA_CHECK(cudaGetDevice(&previous_));
    if (device != previous_) VASA_CUDA_CHECK(cudaSetDevice(device));
  }
  ~CudaDeviceGuard() { static_cast<void>(cudaSetDevice(previous_)); }
  CudaDeviceGuard(const CudaDeviceGuard&) = delete;
  CudaDeviceGuard& operator=(const CudaDeviceGuard&) = delete;

 private:
  int previous_ = 0;
};

inline unsigned blocks_for(std::int64_t count, int threads_per_block) {
  return static_cast<unsigned>((count + threads_per_block - 1) / threads_per_block);
}

}  // namespace vasa_cam
