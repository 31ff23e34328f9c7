// CUDA twins: both kernels walk their arrays with as many threads as the GPU holds at once.
#include "common/cuda_check.cuh"
#include "probe/probe_params.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerProcessor = 8;
constexpr int kChains = 8;

bool aligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; }

// out may be a or b: every element is read before it is written, by the same thread.
__global__ void triad_kernel(TriadParams p) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i < p.count; i += step) p.out[i] = p.a[i] + p.factor * p.b[i];
}

__global__ void triad4_kernel(TriadParams p, std::int64_t quads) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i < quads; i += step) {
    const float4 a = reinterpret_cast<const float4*>(p.a)[i];
    const float4 b = reinterpret_cast<const float4*>(p.b)[i];
    reinterpret_cast<float4*>(p.out)[i] = make_float4(a.x + p.factor * b.x, a.y + p.factor * b.y,
                                                      a.z + p.factor * b.z, a.w + p.factor * b.w);
  }
}

__global__ void multiply_add_kernel(MultiplyAddParams p) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (std::int64_t base = first; base < p.count; base += kChains * step) {
    float chains[kChains];
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) {
      const std::int64_t i = base + chain * step;
      chains[chain] = i < p.count ? p.values[i] : 0.0f;
    }
#pragma unroll 4
    for (std::int64_t round = 0; round < p.rounds; ++round) {
#pragma unroll
      for (int chain = 0; chain < kChains; ++chain) {
        chains[chain] = fmaf(p.factor, chains[chain], p.addend);
      }
    }
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) {
      const std::int64_t i = base + chain * step;
      if (i < p.count) p.values[i] = chains[chain];
    }
  }
}

unsigned full_grid(std::int64_t count, int device_id) {
  int processors = 0;
  VASA_CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device_id));
  const unsigned most = static_cast<unsigned>(processors * kBlocksPerProcessor);
  const std::int64_t needed = (count + kThreads - 1) / kThreads;
  return needed < most ? static_cast<unsigned>(needed) : most;
}

}  // namespace

void launch_triad(const TriadParams& p, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  auto* cuda_stream = static_cast<cudaStream_t>(stream);
  std::int64_t quads = 0;
  if (aligned(p.a) && aligned(p.b) && aligned(p.out)) quads = p.count / 4;
  if (quads > 0) {
    triad4_kernel<<<full_grid(quads, device_id), kThreads, 0, cuda_stream>>>(p, quads);
    VASA_CUDA_CHECK(cudaGetLastError());
  }
  const std::int64_t done = 4 * quads;
  if (done == p.count) return;
  const TriadParams rest{p.a + done, p.b + done, p.out + done, p.factor, p.count - done};
  triad_kernel<<<full_grid(rest.count, device_id), kThreads, 0, cuda_stream>>>(rest);
  VASA_CUDA_CHECK(cudaGetLastError());
}

void launch_multiply_add(const MultiplyAddParams& p, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  const std::int64_t threads = (p.count + kChains - 1) / kChains;
  multiply_add_kernel<<<full_grid(threads, device_id), kThreads, 0,
                        static_cast<cudaStream_t>(stream)>>>(p);
  VASA_CUDA_CHECK(cudaGetLastError());
}

}  // namespace vasa_cam
