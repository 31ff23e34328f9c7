#include "vasa_cam/dense_motion.h"

#include <algorithm>
#include <vector>

#include "common/thread_pool.h"
#include "dense_motion/dense_motion_math.h"
#include "dense_motion/motion_terms.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"
#include "warp_volume/volume_check.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(motion_input_rows, const MotionInputParams& p, const MotionTerms& terms,
                  const RowScratch& scratch, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(motion_warp_voxels, const MotionWarpParams& p, std::int64_t begin,
                  std::int64_t end);
void launch_motion_input(const MotionInputParams& p, int device_id, void* stream);
void launch_motion_warp(const MotionWarpParams& p, int device_id, void* stream);

namespace {

constexpr const char* kInputOp = "dense_motion_input";
constexpr const char* kWarpOp = "dense_motion_warp";
// Enough work for a thread to be worth waking: about ten microseconds.
constexpr std::int64_t kNumbersPerRange = 16384;

KeypointArrays check_keypoints(const Keypoints& keypoints, const char* op, Device device) {
  check_tensor(keypoints.driving, op, "driving", DType::f32, device, {kAnySize, kAnySize, 3});
  const std::int64_t samples = keypoints.driving.shape[0];
  const std::int64_t count = keypoints.driving.shape[1];
  check_tensor(keypoints.source, op, "source", DType::f32, device, {kAnySize, count, 3});
  require(keypoints.source.shape[0] == samples || keypoints.source.shape[0] == 1, op,
          "source must have one sample, or as many as driving");
  require(count >= 1 && count <= kMostKeypoints, op, "needs 1 to 31 keypoints");
  return {keypoints.source.as<const float>(), keypoints.driving.as<const float>(),
          sample_stride(keypoints.source), static_cast<std::int32_t>(count)};
}

void check_motion_volume(const TensorView& volume, const char* op, Device device,
                         std::int64_t samples) {
  check_volume(volume, op, device, samples);
  require(volume.shape[1] >= 2 && volume.shape[2] >= 2 && volume.shape[3] >= 2, op,
          "every axis must have at least two voxels");
}

void require_one_gpu(const char* op, const TensorView& first, const Keypoints& keypoints,
                     const TensorView& out) {
  require(first.device_id == keypoints.source.device_id &&
              first.device_id == keypoints.driving.device_id && first.device_id == out.device_id,
          op, "all arrays must be on one GPU");
}

// This thread's memory for the terms of a call; it only grows.
std::vector<AxisTerm>& thread_terms() {
  thread_local std::vector<AxisTerm> terms;
  return terms;
}

// This thread's memory for a row; it only grows. The margins are zeros.
RowScratch thread_row(std::int64_t width, std::int64_t row_numbers) {
  thread_local std::vector<float> memory;
  const std::int64_t combined = (width + 2 * kMarginVoxels) * kCompressedChannels;
  memory.resize(std::max(memory.size(), static_cast<std::size_t>(combined + row_numbers)));
  std::fill_n(memory.begin(), combined, 0.0f);
  return {memory.data() + kMarginVoxels * kCompressedChannels, memory.data() + combined};
}

void input_on_cpu(const MotionInputParams& p) {
  std::vector<AxisTerm>& memory = thread_terms();
  MotionTerms terms{nullptr, p.size, p.keypoints.count + 1};
  memory.resize(static_cast<std::size_t>(p.samples * terms.numbers_per_sample()));
  for (std::int64_t sample = 0; sample < p.samples; ++sample) {
    AxisTerm* next = memory.data() + sample * terms.numbers_per_sample();
    for (std::int32_t candidate = 0; candidate < terms.candidates; ++candidate) {
      const std::int32_t sizes[3] = {p.size.width, p.size.height, p.size.depth};
      for (std::int32_t axis = 0; axis < 3; ++axis) {
        for (std::int32_t index = 0; index < sizes[axis]; ++index) {
          *next++ = axis_term(p.keypoints, sample, candidate, axis, index, sizes[axis]);
        }
      }
    }
  }
  terms.first = memory.data();
  const std::int64_t numbers = p.size.width * terms.candidates * kCandidateNumbers;
  const std::int64_t grain = std::max<std::int64_t>(1, kNumbersPerRange / numbers);
  parallel_for(p.samples * p.size.depth * p.size.height, grain,
               [&](std::int64_t begin, std::int64_t end) {
                 const RowScratch scratch = thread_row(p.size.width, numbers);
                 VASA_SIMD_CALL(motion_input_rows, p, terms, scratch, begin, end);
               });
}

}  // namespace

void dense_motion_input(const TensorView& compressed, const Keypoints& keypoints,
                        const TensorView& out, void* stream) {
  const Device device = compressed.device;
  const KeypointArrays arrays = check_keypoints(keypoints, kInputOp, device);
  const std::int64_t samples = keypoints.driving.shape[0];
  check_motion_volume(compressed, kInputOp, device, samples);
  require(compressed.shape[4] == kCompressedChannels, kInputOp, "compressed must have 4 channels");
  check_output(out, kInputOp, "out", compressed.dtype, device,
               {samples, compressed.shape[1], compressed.shape[2], compressed.shape[3],
                kCandidateNumbers * (arrays.count + 1)});
  require_one_gpu(kInputOp, compressed, keypoints, out);
  if (samples == 0) return;

  const MotionInputParams params{compressed.data,           out.data, arrays,
                                 compressed.dtype,          samples,  sample_stride(compressed),
                                 size_of_volume(compressed)};
  if (device == Device::cuda) {
    VASA_CUDA_CALL(kInputOp, launch_motion_input(params, compressed.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  input_on_cpu(params);
}

void dense_motion_warp(const TensorView& mask_logits, const Keypoints& keypoints,
                       const TensorView& volume, const TensorView* deformation,
                       const TensorView& out, void* stream) {
  const Device device = volume.device;
  const KeypointArrays arrays = check_keypoints(keypoints, kWarpOp, device);
  const std::int64_t samples = keypoints.driving.shape[0];
  check_motion_volume(volume, kWarpOp, device, samples);
  const std::int64_t* size = volume.shape + 1;
  check_tensor(mask_logits, kWarpOp, "mask_logits", volume.dtype, device,
               {samples, size[0], size[1], size[2], arrays.count + 1});
  check_output(out, kWarpOp, "out", volume.dtype, device,
               {samples, size[0], size[1], size[2], size[3]});
  require_one_gpu(kWarpOp, volume, keypoints, out);
  require(mask_logits.device_id == volume.device_id, kWarpOp, "all arrays must be on one GPU");
  if (deformation != nullptr) {
    check_output(*deformation, kWarpOp, "deformation", DType::f32, device,
                 {samples, size[0], size[1], size[2], 3});
    require(deformation->device_id == volume.device_id, kWarpOp, "all arrays must be on one GPU");
  }
  if (samples == 0) return;

  const MotionWarpParams params{mask_logits.data,
                                volume.data,
                                deformation == nullptr ? nullptr : deformation->as<float>(),
                                out.data,
                                arrays,
                                volume.dtype,
                                samples,
                                sample_stride(volume),
                                size_of_volume(volume)};
  if (device == Device::cuda) {
    VASA_CUDA_CALL(kWarpOp, launch_motion_warp(params, volume.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  const std::int64_t numbers = params.size.channels + 4 * (arrays.count + 1);
  const std::int64_t grain = std::max<std::int64_t>(1, kNumbersPerRange / numbers);
  parallel_for(samples * size[0] * size[1] * size[2], grain,
               [&params](std::int64_t begin, std::int64_t end) {
                 VASA_SIMD_CALL(motion_warp_voxels, params, begin, end);
               });
}

}  // namespace vasa_cam
