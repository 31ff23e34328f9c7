// As much of CUDA as some kernels use, on a CPU: the kernels themselves run in
// the tests, thread by thread, and what they read past an array is for AddressSanitizer to see.
//
// A thread of a block is a fiber, which gives way where it waits for others. Shared memory is full
// of NaN at first; asynchronous copies arrive when they are waited for and not before; the blocks
// take turns in the order of their threads, so that what depends on it shows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

using std::max;
using std::min;

struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct float3 {
  float x, y, z;
};
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace emulated_cuda {

constexpr std::size_t kSharedBytes = 227 * 1024;
constexpr int kWarpThreads = 32;

struct Stream;
struct Graph;

char* shared_memory();
// Runs the kernel in every thread of every block, or keeps it where the stream is being captured.
void launch(Stream* stream, dim3 blocks, dim3 threads, const std::function<void()>& kernel);

[[noreturn]] void fail(const char* message);
void wait_for_block();
void wait_for_warp();
int any_of_block(int value);
float exchange(float value, int lane);
int lane();

void copy_async(void* to, const void* from, bool valid);
void commit_copies();
void arrive_copies(int pending);
template <int kPending>
void wait_copies() {
  arrive_copies(kPending);
}
// As PTX ISA describes ldmatrix (.x4, .b16) and mma.m16n8k16.
void load_matrices(unsigned (&words)[4], const void* row);
void load_matrices_transposed(unsigned (&words)[4], const void* row);
// What the lanes of this warp bring, as word w of lane l at [l][w].
using WarpWords = unsigned[kWarpThreads][6];
const WarpWords& bring_words(const unsigned (&a)[4], unsigned b0, unsigned b1);

// number: float of the bits of an element.
template <class Number>
void multiply_add_tile(const Number& number, float (&sums)[4], const unsigned (&a)[4], unsigned b0,
                       unsigned b1) {
  const WarpWords& words = bring_words(a, b0, b1);
  const auto element = [&](int lane, int word, int half) {
    return number(static_cast<std::uint16_t>(words[lane][word] >> (16 * half)));
  };
  const int group = lane() / 4;
  const int place = lane() % 4;
  for (int at = 0; at < 4; ++at) {
    const int row = group + at / 2 * 8;
    const int column = place * 2 + at % 2;
    for (int k = 0; k < 16; ++k) {
      const float left = element(row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2, k % 2);
      const float right = element(column * 4 + k % 8 / 2, 4 + k / 8, k % 2);
      sums[at] += left * right;
    }
  }
  wait_for_warp();
}

// Nothing overlaps here.
inline void let_next_begin() {}
inline void wait_for_previous() {}

}  // namespace emulated_cuda

inline void __syncthreads() { emulated_cuda::wait_for_block(); }
inline void __syncwarp() { emulated_cuda::wait_for_warp(); }
inline int __syncthreads_or(int value) { return emulated_cuda::any_of_block(value); }
inline float __shfl_xor_sync(unsigned, float value, int mask) {
  return emulated_cuda::exchange(value, emulated_cuda::lane() ^ mask);
}
inline float __shfl_sync(unsigned, float value, int lane) {
  return emulated_cuda::exchange(value, lane);
}
// A lane without one so far down keeps its own value.
inline float __shfl_down_sync(unsigned, float value, int distance) {
  const int wanted = emulated_cuda::lane() + distance;
  return emulated_cuda::exchange(
      value, wanted < emulated_cuda::kWarpThreads ? wanted : emulated_cuda::lane());
}
template <class T>
T __ldg(const T* at) {
  if (reinterpret_cast<std::uintptr_t>(at) % sizeof(T) != 0) {
    emulated_cuda::fail("a load that is not aligned");
  }
  return *at;
}
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue };
enum cudaMemcpyKind { cudaMemcpyHostToDevice };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
constexpr unsigned cudaStreamNonBlocking = 1;
using cudaStream_t = emulated_cuda::Stream*;
using cudaGraph_t = emulated_cuda::Graph*;
using cudaGraphExec_t = emulated_cuda::Graph*;

inline const char* cudaGetErrorName(cudaError_t) { return "an emulated error"; }
inline const char* cudaGetErrorString(cudaError_t) { return "emulated"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaMalloc(void** data, std::size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaMemset(void* data, int value, std::size_t bytes);
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
