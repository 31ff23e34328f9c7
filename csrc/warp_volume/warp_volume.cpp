#include "vasa_cam/warp_volume.h"

#include <algorithm>
#include <limits>

#include "common/thread_pool.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"
#include "warp_volume/volume_check.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(warp_places, const WarpVolumeParams& p, std::int64_t begin, std::int64_t end);
void launch_warp_volume(const WarpVolumeParams& p, int device_id, void* stream);

namespace {

constexpr const char* kOp = "warp_volume";
// Enough work for a thread to be worth waking: about ten microseconds.
constexpr std::int64_t kNumbersPerRange = 16384;

}  // namespace

void check_volume(const TensorView& volume, const char* op, Device device, std::int64_t samples) {
  require(is_float(volume.dtype), op, "volume must be f32, f16 or bf16");
  check_tensor(volume, op, "volume", volume.dtype, device,
               {kAnySize, kAnySize, kAnySize, kAnySize, kAnySize});
  require(volume.shape[0] == samples || volume.shape[0] == 1, op,
          "volume must have one sample, or as many as the other arrays");
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  const std::int64_t* size = volume.shape + 1;
  require(size[0] > 0 && size[1] > 0 && size[2] > 0, op, "volume must have at least one voxel");
  require(size[0] <= most && size[1] <= most && size[2] <= most && size[0] <= most / size[1] &&
              size[0] * size[1] <= most / size[2],
          op, "volume must have fewer than 2^31 voxels a sample");
  require(volume.shape[4] <= kMostChannels, op, "volume must have at most 2^20 channels");
}

VolumeSize size_of_volume(const TensorView& volume) {
  return {static_cast<std::int32_t>(volume.shape[1]), static_cast<std::int32_t>(volume.shape[2]),
          static_cast<std::int32_t>(volume.shape[3]), volume.shape[4]};
}

std::int64_t sample_stride(const TensorView& tensor) {
  if (tensor.shape[0] == 1) return 0;
  return tensor.numel() / std::max<std::int64_t>(tensor.shape[0], 1);
}

void warp_volume(const TensorView& volume, const TensorView& grid, Padding padding,
                 bool align_corners, const TensorView& out, void* stream) {
  check_tensor(grid, kOp, "grid", DType::f32, volume.device,
               {kAnySize, kAnySize, kAnySize, kAnySize, 3});
  const std::int64_t* wanted = grid.shape;
  check_volume(volume, kOp, volume.device, wanted[0]);
  check_output(out, kOp, "out", volume.dtype, volume.device,
               {wanted[0], wanted[1], wanted[2], wanted[3], volume.shape[4]});
  require(volume.device_id == grid.device_id && volume.device_id == out.device_id, kOp,
          "all arrays must be on one GPU");
  if (out.numel() == 0) return;

  const WarpVolumeParams params{volume.data,
                                grid.as<const float>(),
                                out.data,
                                volume.dtype,
                                wanted[0],
                                sample_stride(volume),
                                wanted[1] * wanted[2] * wanted[3],
                                size_of_volume(volume),
                                padding,
                                align_corners};
  if (volume.device == Device::cuda) {
    VASA_CUDA_CALL(kOp, launch_warp_volume(params, volume.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  const std::int64_t grain = std::max<std::int64_t>(1, kNumbersPerRange / params.size.channels);
  parallel_for(params.samples * params.places, grain,
               [&params](std::int64_t begin, std::int64_t end) {
                 VASA_SIMD_CALL(warp_places, params, begin, end);
               });
}

}  // namespace vasa_cam
