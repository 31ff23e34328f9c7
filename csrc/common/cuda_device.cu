#include "common/build_info.h"
#include "common/cuda_check.cuh"
#include "common/memory_block.h"

namespace vasa_cam {

int cuda_device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());
  // A machine without a GPU is a normal one for this program, not a failure.
  return 0;
}

void* cuda_allocate(std::int64_t bytes, int device_id) {
  const CudaDeviceGuard guard(device_id);
  void* data = nullptr;
  VASA_CUDA_CHECK(cudaMalloc(&data, static_cast<std::size_t>(bytes)));
  VASA_CUDA_CHECK(cudaMemset(data, 0, static_cast<std::size_t>(bytes)));
  return data;
}

void cuda_release(void* data, int device_id) noexcept {
  int previous = 0;
  if (cudaGetDevice(&previous) != cudaSuccess) return;
  // Errors cannot be thrown from a destructor; at process exit the driver may be gone already.
  static_cast<void>(cudaSetDevice(device_id));
  static_cast<void>(cudaFree(data));
  static_cast<void>(cudaSetDevice(previous));
}

void cuda_copy_from_host(void* target, const void* source, std::int64_t bytes, int device_id) {
  const CudaDeviceGuard guard(device_id);
  VASA_CUDA_CHECK(
      cudaMemcpy(target, source, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice));
}

}  // namespace vasa_cam
