#include "vasa_cam/guided_update.h"

#include "common/thread_pool.h"
#include "guided_update/guided_update_math.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(update_floats, const GuidedUpdate<float>& u, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(update_halves, const GuidedUpdate<Half>& u, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(update_bfloats, const GuidedUpdate<BFloat16>& u, std::int64_t begin,
                  std::int64_t end);
void launch_guided_update(const GuidedUpdate<float>& u, int device_id, void* stream);
void launch_guided_update(const GuidedUpdate<Half>& u, int device_id, void* stream);
void launch_guided_update(const GuidedUpdate<BFloat16>& u, int device_id, void* stream);

namespace {

constexpr const char* kOp = "guided_update";
// About ten microseconds of work, worth waking a thread for.
constexpr std::int64_t kElementsPerRange = 32768;

void run_cpu(const GuidedUpdate<float>& u) {
  parallel_for(u.count, kElementsPerRange, [&u](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(update_floats, u, begin, end);
  });
}

void run_cpu(const GuidedUpdate<Half>& u) {
  parallel_for(u.count, kElementsPerRange, [&u](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(update_halves, u, begin, end);
  });
}

void run_cpu(const GuidedUpdate<BFloat16>& u) {
  parallel_for(u.count, kElementsPerRange, [&u](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(update_bfloats, u, begin, end);
  });
}

void check_like(const TensorView& tensor, const TensorView& model, const char* name) {
  bool same = tensor.dtype == DType::f32 && tensor.rank == model.rank && tensor.contiguous() &&
              tensor.device == model.device && tensor.device_id == model.device_id;
  for (int axis = 0; same && axis < model.rank; ++axis) {
    same = tensor.shape[axis] == model.shape[axis];
  }
  if (same) return;
  throw std::invalid_argument(std::string(kOp) + ": " + name +
                              " must be C-contiguous f32 of the shape and on the device of noised");
}

void check_arrays(const GuidedUpdateArrays& arrays) {
  const TensorView& noised = arrays.noised;
  require(noised.rank >= 1 && noised.rank < kMaxRank, kOp, "noised must have 1 to 4 axes");
  check_like(noised, noised, "noised");
  const TensorView& outputs = arrays.outputs;
  bool fits = outputs.rank == noised.rank + 1 && outputs.contiguous() && is_float(outputs.dtype) &&
              outputs.device == noised.device && outputs.device_id == noised.device_id;
  for (int axis = 0; fits && axis < noised.rank; ++axis) {
    fits = outputs.shape[axis + 1] == noised.shape[axis];
  }
  require(fits, kOp, "outputs must be C-contiguous f32, f16 or bf16 [P, like noised]");
  check_tensor(arrays.weights, kOp, "weights", DType::f32, noised.device, {outputs.shape[0]});
  if (arrays.noise.rank > 0) check_like(arrays.noise, noised, "noise");
  if (arrays.clean.rank > 0) check_like(arrays.clean, noised, "clean");
  check_like(arrays.out, noised, "out");
  require(!arrays.out.read_only && !arrays.clean.read_only, kOp, "an output is read-only");
}

}  // namespace

void guided_update(const GuidedUpdateArrays& arrays, const UpdateCoefficients& coefficients,
                   void* stream) {
  check_arrays(arrays);
  require(coefficients.sigma == 0.0f || arrays.noise.rank > 0, kOp, "sigma needs noise");
  static_cast<void>(stream);  // used by the CUDA twin only
  const std::int64_t count = arrays.noised.numel();
  if (count == 0) return;
  with_float_type(arrays.outputs.dtype, [&](auto element) {
    using T = decltype(element);
    const GuidedUpdate<T> u{arrays.noised.as<const float>(),
                            arrays.outputs.as<const T>(),
                            arrays.weights.as<const float>(),
                            arrays.noise.rank > 0 ? arrays.noise.as<const float>() : nullptr,
                            arrays.clean.rank > 0 ? arrays.clean.as<float>() : nullptr,
                            arrays.out.as<float>(),
                            arrays.outputs.shape[0],
                            count,
                            coefficients};
    if (arrays.noised.device == Device::cuda) {
      VASA_CUDA_CALL(kOp, launch_guided_update(u, arrays.noised.device_id, stream));
      return;
    }
    run_cpu(u);
  });
}

}  // namespace vasa_cam
