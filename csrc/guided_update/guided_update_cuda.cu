// CUDA twin: a thread for each element. A window has a few thousand, so the launch is what counts.
#include "common/launch.cuh"
#include "guided_update/guided_update_math.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) update_kernel(GuidedUpdate<T> u) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < u.count) update_element(u, at);
}

template <class T>
void launch(const GuidedUpdate<T>& u, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  launch_kernel(update_kernel<T>, dim3(blocks_for(u.count, kThreads)), kThreads, stream, u);
}

}  // namespace

void launch_guided_update(const GuidedUpdate<float>& u, int device_id, void* stream) {
  launch(u, device_id, stream);
}

void launch_guided_update(const GuidedUpdate<Half>& u, int device_id, void* stream) {
  launch(u, device_id, stream);
}

void launch_guided_update(const GuidedUpdate<BFloat16>& u, int device_id, void* stream) {
  launch(u, device_id, stream);
}

}  // namespace vasa_cam
