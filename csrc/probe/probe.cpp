#include "vasa_cam/probe.h"

#include "common/thread_pool.h"
#include "probe/probe_params.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(triad_range, const TriadParams& p, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(multiply_add_range, const MultiplyAddParams& p, std::int64_t begin,
                  std::int64_t end);
void launch_triad(const TriadParams& p, int device_id, void* stream);
void launch_multiply_add(const MultiplyAddParams& p, int device_id, void* stream);

namespace {

constexpr const char* kTriad = "triad";
constexpr const char* kMultiplyAdd = "multiply_add";
// 64 KiB of each array: some microseconds, and small enough for two threads to share a short one.
constexpr std::int64_t kTriadGrain = 16384;
// A multiple of what any instruction set keeps in registers at once.
constexpr std::int64_t kMultiplyAddGrain = 1536;

}  // namespace

void triad(const TensorView& a, const TensorView& b, float factor, const TensorView& out,
           void* stream) {
  check_tensor(a, kTriad, "a", DType::f32, a.device, {kAnySize});
  const std::int64_t count = a.shape[0];
  check_tensor(b, kTriad, "b", DType::f32, a.device, {count});
  check_output(out, kTriad, "out", DType::f32, a.device, {count});
  require(a.device_id == b.device_id && a.device_id == out.device_id, kTriad,
          "the arrays must be on one GPU");
  if (count == 0) return;
  const TriadParams params{a.as<const float>(), b.as<const float>(), out.as<float>(), factor,
                           count};
  if (a.device == Device::cuda) {
    VASA_CUDA_CALL(kTriad, launch_triad(params, a.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  parallel_for(count, kTriadGrain, [&params](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(triad_range, params, begin, end);
  });
}

void multiply_add(const TensorView& values, float factor, float addend, std::int64_t rounds,
                  void* stream) {
  check_output(values, kMultiplyAdd, "values", DType::f32, values.device, {kAnySize});
  require(rounds >= 0, kMultiplyAdd, "rounds must be at least 0");
  const std::int64_t count = values.shape[0];
  if (count == 0) return;
  const MultiplyAddParams params{values.as<float>(), factor, addend, rounds, count};
  if (values.device == Device::cuda) {
    VASA_CUDA_CALL(kMultiplyAdd, launch_multiply_add(params, values.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  parallel_for(count, kMultiplyAddGrain, [&params](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(multiply_add_range, params, begin, end);
  });
}

}  // namespace vasa_cam
