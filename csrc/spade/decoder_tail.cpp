#include <algorithm>

#include "common/thread_pool.h"
#include "spade/spade_checks.h"
#include "spade/tail_math.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/spade.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(tail_rows, const TailParams& p, std::int64_t begin, std::int64_t end);
void launch_decoder_tail(const TailParams& p, int device_id, void* stream);

namespace {

constexpr const char* kOp = "decoder_tail";
// Enough work for a thread to be worth waking: about ten microseconds.
constexpr std::int64_t kCellsPerRange = 2048;

}  // namespace

void decoder_tail(const TensorView& x, const TensorView& out, PixelFormat format,
                  ColourMatrix matrix, void* stream) {
  check_floats(x, kOp, "x");
  check_tensor(x, kOp, "x", x.dtype, x.device, {kAnySize, kAnySize, kAnySize, kAnySize});
  require(x.shape[3] >= kCellNumbers, kOp, "x must have at least 12 channels");
  require(format == PixelFormat::rgb || format == PixelFormat::i420, kOp,
          "format must be rgb or i420");
  const std::int64_t images = x.shape[0];
  const std::int64_t height = x.shape[1];
  const std::int64_t width = x.shape[2];
  const bool planar = format == PixelFormat::i420;
  if (planar) {
    check_output(out, kOp, "out", DType::u8, x.device, {images, 3 * height, 2 * width});
  } else {
    check_output(out, kOp, "out", DType::u8, x.device, {images, 2 * height, 2 * width, 3});
  }
  if (out.numel() == 0) return;
  check_same_gpu(x, out, kOp);
  check_apart(x, out, kOp);
  const TailParams params{x.data, out.as<std::uint8_t>(), images, height, width, x.shape[3],
                          planar, matrix_of(matrix),      x.dtype};
  if (x.device == Device::cuda) {
    VASA_CUDA_CALL(kOp, launch_decoder_tail(params, x.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  const std::int64_t grain = std::max<std::int64_t>(1, kCellsPerRange / width);
  parallel_for(images * height, grain, [&params](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(tail_rows, params, begin, end);
  });
}

}  // namespace vasa_cam
