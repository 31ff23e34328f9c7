// Choice of the twin (CPU or CUDA) and, on the CPU, of the instruction set.
//
// Sources listed as SIMD_SOURCES are compiled once per instruction set; each puts its entry points
// into `namespace vasa_cam::VASA_SIMD_NAMESPACE`. An op declares them with VASA_SIMD_DECLARE and
// calls the one that suits this processor with VASA_SIMD_CALL.
#pragma once

#include "vasa_cam/error.h"

namespace vasa_cam {

enum class SimdLevel { baseline = 0, avx2 = 1, avx512 = 2 };

// The best level that this processor and this build have, or the one named by the environment
// variable VASA_CAM_SIMD (baseline, avx2, avx512). Decided at the first call; throws
// std::runtime_error if the variable names a level that this machine does not have.
SimdLevel simd_level();

// For tests: use this level from now on. Throws std::invalid_argument if it is not available.
void set_simd_level(SimdLevel level);
bool simd_available(SimdLevel level);
const char* simd_name(SimdLevel level);

}  // namespace vasa_cam

#ifdef VASA_SIMD_HAS_X86
#define VASA_SIMD_DECLARE(name, ...) \
  namespace simd_baseline {          \
  void name(__VA_ARGS__);            \
  }                                  \
  namespace simd_avx2 {              \
  void name(__VA_ARGS__);            \
  }                                  \
  namespace simd_avx512 {            \
  void name(__VA_ARGS__);            \
  }                                  \
  static_assert(true, "takes the semicolon")
#define VASA_SIMD_CALL(name, ...)           \
  do {                                      \
    switch (::vasa_cam::simd_level()) {     \
      case ::vasa_cam::SimdLevel::avx512:   \
        simd_avx512::name(__VA_ARGS__);     \
        break;                              \
      case ::vasa_cam::SimdLevel::avx2:     \
        simd_avx2::name(__VA_ARGS__);       \
        break;                              \
      case ::vasa_cam::SimdLevel::baseline: \
        simd_baseline::name(__VA_ARGS__);   \
        break;                              \
    }                                       \
  } while (false)
#else
#define VASA_SIMD_DECLARE(name, ...) \
  namespace simd_baseline {          \
  void name(__VA_ARGS__);            \
  }                                  \
  static_assert(true, "takes the semicolon")
#define VASA_SIMD_CALL(name, ...) simd_baseline::name(__VA_ARGS__)
#endif

// The launcher's call in a build with CUDA, an exception that says so in one without.
#ifdef VASA_CAM_WITH_CUDA
#define VASA_CUDA_CALL(op, call) call
#else
#define VASA_CUDA_CALL(op, call) ::vasa_cam::throw_without_cuda(op)
#endif
