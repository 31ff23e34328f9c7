// VASA_HD marks per-element functions that the CPU twin and the CUDA kernel share.
#pragma once

#if defined(__CUDACC__)
#define VASA_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__) || defined(__clang__)
// Always inlined: a copy compiled for one instruction set must never be called by another's code.
#define VASA_HD inline __attribute__((always_inline))
#else
#define VASA_HD __forceinline
#endif

#if defined(_MSC_VER)
#define VASA_RESTRICT __restrict
#else
#define VASA_RESTRICT __restrict__
#endif
