#include "vasa_cam/spade.h"

#include <algorithm>

#include "common/thread_pool.h"
#include "spade/spade_checks.h"
#include "spade/spade_math.h"
#include "vasa_cam/dispatch.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(part_statistics, const StatisticsParams& p, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(join_statistics, const StatisticsParams& p, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(modulate_rows, const ModulateParams& p, std::int64_t begin, std::int64_t end);
void launch_statistics(const StatisticsParams& p, int device_id, void* stream);
void launch_modulate(const ModulateParams& p, int device_id, void* stream);

namespace {

// Enough work for a thread to be worth waking: about ten microseconds.
constexpr std::int64_t kNumbersPerRange = 65536;

std::int64_t grain_of(std::int64_t numbers_per_item) {
  return std::max<std::int64_t>(1, kNumbersPerRange / std::max<std::int64_t>(1, numbers_per_item));
}

void statistics_cpu(const StatisticsParams& p) {
  parallel_for(p.images * p.parts, grain_of(kPixelsOfPart * p.channels),
               [&p](std::int64_t begin, std::int64_t end) {
                 VASA_SIMD_CALL(part_statistics, p, begin, end);
               });
  parallel_for(p.images, grain_of(p.parts * p.channels),
               [&p](std::int64_t begin, std::int64_t end) {
                 VASA_SIMD_CALL(join_statistics, p, begin, end);
               });
}

void modulate_cpu(const ModulateParams& p) {
  parallel_for(
      p.images * p.height * p.factor, grain_of(p.factor * p.width * p.channels),
      [&p](std::int64_t begin, std::int64_t end) { VASA_SIMD_CALL(modulate_rows, p, begin, end); });
}

}  // namespace

std::int64_t statistics_parts(std::int64_t pixels) {
  return (pixels + kPixelsOfPart - 1) / kPixelsOfPart;
}

void instance_statistics(const TensorView& x, const TensorView& workspace, const TensorView& out,
                         void* stream) {
  constexpr const char* op = "instance_statistics";
  check_floats(x, op, "x");
  check_tensor(x, op, "x", x.dtype, x.device, {kAnySize, kAnySize, kAnySize, kAnySize});
  const std::int64_t images = x.shape[0];
  const std::int64_t pixels = x.shape[1] * x.shape[2];
  const std::int64_t channels = x.shape[3];
  const std::int64_t parts = statistics_parts(pixels);
  check_output(workspace, op, "workspace", DType::f32, x.device, {images, parts, 2, channels});
  check_output(out, op, "out", DType::f32, x.device, {images, 2, channels});
  if (images == 0 || channels == 0) return;
  require(pixels > 0, op, "x must have at least one pixel");
  check_same_gpu(workspace, x, op);
  check_same_gpu(out, x, op);
  check_apart(x, workspace, op);
  check_apart(x, out, op);
  check_apart(workspace, out, op);
  const StatisticsParams params{
      x.data, workspace.as<float>(), out.as<float>(), images, pixels, channels, parts, x.dtype};
  if (x.device == Device::cuda) {
    VASA_CUDA_CALL(op, launch_statistics(params, x.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  statistics_cpu(params);
}

void spade_modulate(const SpadeTensors& tensors, float slope, const TensorView& out, void* stream) {
  constexpr const char* op = "spade_modulate";
  const TensorView& x = tensors.x;
  const TensorView& maps = tensors.gamma_beta;
  const bool biased = tensors.bias.rank != 0;
  check_floats(x, op, "x");
  check_tensor(x, op, "x", x.dtype, x.device, {kAnySize, kAnySize, kAnySize, kAnySize});
  const std::int64_t images = x.shape[0];
  const std::int64_t height = x.shape[1];
  const std::int64_t width = x.shape[2];
  const std::int64_t channels = x.shape[3];
  check_tensor(maps, op, "gamma_beta", x.dtype, x.device,
               {images, kAnySize, kAnySize, 2 * channels});
  const bool doubled = maps.shape[1] == 2 * height && maps.shape[2] == 2 * width;
  require(doubled || (maps.shape[1] == height && maps.shape[2] == width), op,
          "gamma_beta must be as high and wide as x, or twice");
  check_tensor(tensors.statistics, op, "statistics", DType::f32, x.device, {images, 2, channels});
  if (biased) check_tensor(tensors.bias, op, "bias", DType::f32, x.device, {2 * channels});
  check_output(out, op, "out", x.dtype, x.device, {images, maps.shape[1], maps.shape[2], channels});
  require(slope > 0.0f && slope <= 1.0f, op, "slope must be above 0 and at most 1");
  if (out.numel() == 0) return;
  for (const TensorView* input : {&x, &tensors.statistics, &maps, &tensors.bias}) {
    if (input->rank == 0) continue;
    check_same_gpu(*input, out, op);
    check_apart(*input, out, op);
  }
  const ModulateParams params{x.data,    tensors.statistics.as<const float>(),
                              maps.data, biased ? tensors.bias.as<const float>() : nullptr,
                              out.data,  images,
                              height,    width,
                              channels,  doubled ? 2 : 1,
                              slope,     x.dtype};
  if (x.device == Device::cuda) {
    VASA_CUDA_CALL(op, launch_modulate(params, x.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  modulate_cpu(params);
}

}  // namespace vasa_cam
