#include "common/build_info.h"
#include "common/cuda_check.cuh"

namespace vasa_cam {

int cuda_device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());
  // A machine without a GPU is a normal one for this program, not a failure.
  return 0;
}

}  // namespace vasa_cam
