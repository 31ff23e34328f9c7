#include <atomic>
#include <cstdlib>
#include <string>

#include "vasa_cam/dispatch.h"

#ifdef VASA_SIMD_HAS_X86
#include <cpuid.h>
#endif

namespace vasa_cam {
namespace {

constexpr int kUndecided = -1;
std::atomic<int> chosen_level{kUndecided};

#ifdef VASA_SIMD_HAS_X86
// Asked for directly: not every compiler's __builtin_cpu_supports knows the name.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

SimdLevel level_of_environment() {
  const char* wanted = std::getenv("VASA_CAM_SIMD");
  if (wanted == nullptr || *wanted == '\0') {
    if (simd_available(SimdLevel::avx512)) return SimdLevel::avx512;
    if (simd_available(SimdLevel::avx2)) return SimdLevel::avx2;
    return SimdLevel::baseline;
  }
  for (const SimdLevel level : {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512}) {
    if (std::string(wanted) != simd_name(level)) continue;
    if (simd_available(level)) return level;
    throw std::runtime_error(std::string("VASA_CAM_SIMD=") + wanted +
                             " but this processor or build does not have it; unset the variable");
  }
  throw std::runtime_error(std::string("VASA_CAM_SIMD must be baseline, avx2 or avx512, got ") +
                           wanted);
}

}  // namespace

const char* simd_name(SimdLevel level) {
  switch (level) {
    case SimdLevel::baseline:
      return "baseline";
    case SimdLevel::avx2:
      return "avx2";
    case SimdLevel::avx512:
      return "avx512";
  }
  throw std::logic_error("unknown SimdLevel");
}

bool simd_available(SimdLevel level) {
#ifdef VASA_SIMD_HAS_X86
  // Exactly the features that cmake/ops.cmake compiles for.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (level == SimdLevel::avx2) return avx2;
  if (level == SimdLevel::avx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return level == SimdLevel::baseline;
}

SimdLevel simd_level() {
  int level = chosen_level.load(std::memory_order_relaxed);
  if (level == kUndecided) {
    level = static_cast<int>(level_of_environment());
    chosen_level.store(level, std::memory_order_relaxed);
  }
  return static_cast<SimdLevel>(level);
}

void set_simd_level(SimdLevel level) {
  if (!simd_available(level)) {
    throw std::invalid_argument(std::string("SIMD level ") + simd_name(level) +
                                " is not available on this processor or in this build");
  }
  chosen_level.store(static_cast<int>(level), std::memory_order_relaxed);
}

}  // namespace vasa_cam
