// CUDA twin: a thread for each pixel of the frame. Only the device knows the aperture, so the box
// that it can touch is found there, once for each block.
#include "common/cuda_check.cuh"
#include "compose/over_scene.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;

__device__ std::int64_t global_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ bool inside(const PixelBox& box, std::int32_t x, std::int32_t y) {
  return x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1;
}

__global__ void over_kernel(OverScene scene) {
  const std::int64_t index = global_index();
  const std::int64_t width = scene.out.width;
  if (index >= width * scene.out.height) return;
  over_scene_pixel(scene, static_cast<std::int32_t>(index % width),
                   static_cast<std::int32_t>(index / width));
}

// One thread: two chains of a few dozen vertices.
__global__ void aperture_kernel(Chain upper, Chain lower, float* out) {
  if (global_index() == 0) fill_aperture(upper, lower, out);
}

__global__ void eye_kernel(EyeScene scene) {
  __shared__ EyeState state;
  if (threadIdx.x == 0) state = eye_state(scene);
  __syncthreads();
  const std::int64_t index = global_index();
  const auto x = static_cast<std::int32_t>(index % scene.frame.width);
  const auto y = static_cast<std::int32_t>(index / scene.frame.width);
  if (inside(state.box, x, y)) eye_pixel(scene, state, x, y);
}

__global__ void mouth_kernel(MouthScene scene) {
  __shared__ MouthState state;
  if (threadIdx.x == 0) state = mouth_state(scene);
  __syncthreads();
  const std::int64_t index = global_index();
  const auto x = static_cast<std::int32_t>(index % scene.frame.width);
  const auto y = static_cast<std::int32_t>(index / scene.frame.width);
  if (inside(state.box, x, y)) mouth_pixel(scene, state, x, y);
}

unsigned blocks_of(const Image& image) {
  return blocks_for(static_cast<std::int64_t>(image.width) * image.height, kThreads);
}

}  // namespace

void launch_over(const OverScene& scene, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  over_kernel<<<blocks_of(scene.out), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(scene);
  VASA_CUDA_CHECK(cudaGetLastError());
}

void launch_aperture(const Chain& upper, const Chain& lower, float* out, int device_id,
                     void* stream) {
  const CudaDeviceGuard guard(device_id);
  aperture_kernel<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(upper, lower, out);
  VASA_CUDA_CHECK(cudaGetLastError());
}

void launch_eye(const EyeScene& scene, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  eye_kernel<<<blocks_of(scene.frame), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(scene);
  VASA_CUDA_CHECK(cudaGetLastError());
}

void launch_mouth(const MouthScene& scene, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  mouth_kernel<<<blocks_of(scene.frame), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(scene);
  VASA_CUDA_CHECK(cudaGetLastError());
}

}  // namespace vasa_cam
