#include "vasa_cam/pixel.h"

#include <algorithm>

#include "common/thread_pool.h"
#include "pixel/pixel_math.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(convert_rows, const PixelParams& p, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(reorder_rows, const PixelParams& p, std::int64_t begin, std::int64_t end);
void launch_pixel(const PixelParams& p, int device_id, void* stream);

namespace {

constexpr const char* kOp = "pixel";
// Enough work for a thread to be worth waking: about ten microseconds.
constexpr std::int64_t kPixelsPerRange = 65536;

void pixel_cpu(const PixelParams& p) {
  if (is_planar(p.format)) {
    const std::int64_t grain = std::max<std::int64_t>(1, kPixelsPerRange / (2 * p.width));
    parallel_for(p.height / 2, grain, [&p](std::int64_t begin, std::int64_t end) {
      VASA_SIMD_CALL(convert_rows, p, begin, end);
    });
    return;
  }
  const std::int64_t grain = std::max<std::int64_t>(1, kPixelsPerRange / p.width);
  parallel_for(p.height, grain, [&p](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(reorder_rows, p, begin, end);
  });
}

}  // namespace

void pixel(const TensorView& source, const TensorView& target, PixelFormat format,
           ColourMatrix matrix, void* stream) {
  check_tensor(source, kOp, "source", DType::u8, source.device, {kAnySize, kAnySize, kAnySize});
  const std::int64_t height = source.shape[0];
  const std::int64_t width = source.shape[1];
  const std::int64_t channels = source.shape[2];
  require(channels == 3 || channels == 4, kOp, "source must have 3 or 4 channels");
  if (is_planar(format)) {
    require(height % 2 == 0 && width % 2 == 0, kOp, "4:2:0 needs an even height and width");
    check_output(target, kOp, "target", DType::u8, source.device, {height / 2 * 3, width});
  } else {
    check_output(target, kOp, "target", DType::u8, source.device,
                 {height, width, packed_channels(format)});
  }
  require(source.device_id == target.device_id, kOp, "source and target must be on one GPU");
  if (height == 0 || width == 0) return;

  const PixelParams params{source.as<const std::uint8_t>(),
                           target.as<std::uint8_t>(),
                           width,
                           height,
                           static_cast<std::int32_t>(channels),
                           format,
                           matrix_of(matrix)};
  if (source.device == Device::cuda) {
    VASA_CUDA_CALL(kOp, launch_pixel(params, source.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  pixel_cpu(params);
}

}  // namespace vasa_cam
