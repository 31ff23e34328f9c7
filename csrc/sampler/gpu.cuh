// The few instructions and the launch that the sampler's kernels are made of.
//
// Kernels are launched through launch(), never by <<<>>>, and everything that only nvcc knows is in
// this file: so the C++ tests run the kernels themselves on a CPU (tests/cpp/emulated_cuda).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "common/cuda_check.cuh"
#include "common/half.h"
#include "vasa_cam/error.h"

// The block's dynamic shared memory as an array of this type; one in a kernel.
#ifdef __CUDACC__
#define VASA_SHARED_ARRAY(type, name)                        \
  extern __shared__ __align__(128) char vasa_shared_bytes[]; \
  type* const name = reinterpret_cast<type*>(vasa_shared_bytes)
#else
#define VASA_SHARED_ARRAY(type, name) \
  type* const name = reinterpret_cast<type*>(::emulated_cuda::shared_memory())
#endif

namespace vasa_cam {

constexpr int kWarp = 32;
// What a kernel may use without asking.
constexpr std::size_t kSharedBytes = 48 * 1024;

// 16 bytes.
template <class T>
struct alignas(16) Pack {
  T values[16 / sizeof(T)];
};

#ifdef __CUDACC__

// 16 bytes to shared memory on their way while the thread goes on; zeros if not `valid`, and then
// `from` is not read. Both addresses lie on 16 bytes.
__device__ __forceinline__ void copy_async(void* to, const void* from, bool valid) {
#if __CUDA_ARCH__ >= 800
  const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(bytes)
               : "memory");
#else
  uint4 value = make_uint4(0, 0, 0, 0);
  if (valid) value = *static_cast<const uint4*>(from);
  *static_cast<uint4*>(to) = value;
#endif
}

// Ends a group of this thread's copies.
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until all but this thread's newest kPending groups have arrived.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// Four 8 x 8 matrices of 16-bit elements from shared memory: lane l names the address of row l % 8
// of matrix l / 8 and gets, in word m, elements 2 (l % 4) and the next of row l / 4 of matrix m.
__device__ __forceinline__ void load_matrices(unsigned (&words)[4], const void* row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

// The same of the transposed matrices: elements l / 4 of rows 2 (l % 4) and the next.
__device__ __forceinline__ void load_matrices_transposed(unsigned (&words)[4], const void* row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

// sums[16, 8] += a[16, 16] b[16, 8], see half_tiles.cuh for who holds what.
__device__ __forceinline__ void multiply_add_tile(Half, float (&sums)[4], const unsigned (&a)[4],
                                                  unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  // Turing takes eight inputs at a time, which are the first and the last two words.
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(b0));
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}

__device__ __forceinline__ void multiply_add_tile(BFloat16, float (&sums)[4],
                                                  const unsigned (&a)[4], unsigned b0,
                                                  unsigned b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  __trap();  // Turing knows no bfloat16; launch_half_sampler() refuses it there
#endif
}

// Lets the kernel that was launched behind this one begin what needs nothing of it.
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Until then a kernel may read nothing but weights, and write nothing. Every kernel of a sequence
// waits, so that each has everything that any before it wrote.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

struct LaunchShape {
  dim3 blocks;
  int threads = 0;
  std::size_t shared_bytes = 0;
};

// How kernels are launched: on which stream, and whether one may begin while the one before it
// still runs (from sm_90 on), which hides the launch and the first fetch of its weights.
struct LaunchQueue {
  cudaStream_t stream = nullptr;
  bool overlap = false;
  bool has_bfloat16 = false;
  std::size_t most_shared_bytes = kSharedBytes;
};

inline LaunchQueue launch_queue(int device_id, void* stream) {
  LaunchQueue queue;
  queue.stream = static_cast<cudaStream_t>(stream);
  int major = 0;
  int shared = 0;
  VASA_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device_id));
  VASA_CUDA_CHECK(
      cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device_id));
  queue.overlap = major >= 9;
  queue.has_bfloat16 = major >= 8;
  queue.most_shared_bytes = static_cast<std::size_t>(shared);
  return queue;
}

template <class Parameters>
void launch(const LaunchQueue& queue, void (*kernel)(Parameters), const LaunchShape& shape,
            const Parameters& parameters) {
  if (shape.shared_bytes > kSharedBytes) {
    VASA_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         static_cast<int>(shape.shared_bytes)));
  }
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.blocks;
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = queue.stream;
  config.attrs = &attribute;
  config.numAttrs = queue.overlap ? 1 : 0;
  VASA_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, parameters));
}

#else
using ::emulated_cuda::commit_copies;
using ::emulated_cuda::copy_async;
using ::emulated_cuda::let_next_begin;
using ::emulated_cuda::load_matrices;
using ::emulated_cuda::load_matrices_transposed;
using ::emulated_cuda::wait_copies;
using ::emulated_cuda::wait_for_previous;

template <class T>
void multiply_add_tile(T, float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  const auto number = [](std::uint16_t bits) { return to_float(T{bits}); };
  emulated_cuda::multiply_add_tile(number, sums, a, b0, b1);
}

struct LaunchShape {
  dim3 blocks;
  int threads = 0;
  std::size_t shared_bytes = 0;
};

struct LaunchQueue {
  cudaStream_t stream = nullptr;
  bool has_bfloat16 = true;
  std::size_t most_shared_bytes = emulated_cuda::kSharedBytes;
};

inline LaunchQueue launch_queue(int, void* stream) {
  LaunchQueue queue;
  queue.stream = static_cast<cudaStream_t>(stream);
  return queue;
}

template <class Parameters>
void launch(const LaunchQueue& queue, void (*kernel)(Parameters), const LaunchShape& shape,
            const Parameters& parameters) {
  require(shape.shared_bytes <= queue.most_shared_bytes, "emulated CUDA", "too much shared memory");
  emulated_cuda::launch(queue.stream, shape.blocks, shape.threads,
                        [kernel, parameters] { kernel(parameters); });
}
#endif

__device__ __forceinline__ float warp_sum(float value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  }
  return value;
}

}  // namespace vasa_cam
