#include <algorithm>

#include "common/thread_pool.h"
#include "spade/phase_math.h"
#include "spade/spade_checks.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/spade.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(expand_rows, const PhaseParams& p, std::int64_t begin, std::int64_t end);
void launch_phase_expand(const PhaseParams& p, int device_id, void* stream);

namespace {

constexpr const char* kOp = "phase_expand";
// Enough work for a thread to be worth waking: about ten microseconds.
constexpr std::int64_t kNumbersPerRange = 65536;

// Sizes and the parts' memory; the parts' shapes are checked.
PhaseParams params_of(const std::vector<TensorView>& parts, std::int32_t factor) {
  require(factor == 1 || factor == 2 || factor == 4, kOp, "factor must be 1, 2 or 4");
  require(parts.size() == (factor == 4 ? 4 : 1), kOp,
          "factor 4 takes four parts, factors 1 and 2 one");
  const TensorView& first = parts.front();
  check_floats(first, kOp, "parts");
  const Device device = first.device;
  PhaseParams p{};
  p.factor = factor;
  p.dtype = first.dtype;
  check_tensor(first, kOp, "parts", p.dtype, device, {kAnySize, kAnySize, kAnySize, kAnySize});
  p.images = first.shape[0];
  p.height = first.shape[1];
  p.width = first.shape[2];
  p.channels = first.shape[3];
  if (factor == 1) {
    p.insides = first.data;
    return p;
  }
  require(p.height > 0 && p.width > 0 && p.channels % 4 == 0, kOp,
          "the corners must be [N, h + 1, w + 1, 4 C]");
  p.height -= 1;
  p.width -= 1;
  p.channels /= 4;
  p.corners = first.data;
  if (factor == 2) return p;
  const std::int64_t edges = 2 * p.channels;
  check_tensor(parts[1], kOp, "parts[1]", p.dtype, device,
               {p.images, p.height + 1, p.width, edges});
  check_tensor(parts[2], kOp, "parts[2]", p.dtype, device,
               {p.images, p.height, p.width + 1, edges});
  check_tensor(parts[3], kOp, "parts[3]", p.dtype, device,
               {p.images, p.height, p.width, p.channels});
  p.rows = parts[1].data;
  p.columns = parts[2].data;
  p.insides = parts[3].data;
  return p;
}

}  // namespace

void phase_expand(const std::vector<TensorView>& parts, const TensorView& bias, std::int32_t factor,
                  bool relu, const TensorView& out, void* stream) {
  PhaseParams p = params_of(parts, factor);
  const Device device = parts.front().device;
  check_tensor(bias, kOp, "bias", DType::f32, device, {p.channels});
  p.groups = out.rank == 5 ? out.shape[0] : 1;
  require(p.groups > 0 && p.channels % p.groups == 0, kOp, "the groups must divide the channels");
  const std::int64_t height = factor * p.height;
  const std::int64_t width = factor * p.width;
  if (out.rank == 5) {
    check_output(out, kOp, "out", p.dtype, device,
                 {p.groups, p.images, height, width, p.channels / p.groups});
  } else {
    check_output(out, kOp, "out", p.dtype, device, {p.images, height, width, p.channels});
  }
  if (out.numel() == 0) return;
  check_same_gpu(bias, out, kOp);
  check_apart(bias, out, kOp);
  for (const TensorView& part : parts) {
    check_same_gpu(part, out, kOp);
    check_apart(part, out, kOp);
  }
  p.bias = bias.as<const float>();
  p.out = out.data;
  p.relu = relu;
  if (device == Device::cuda) {
    VASA_CUDA_CALL(kOp, launch_phase_expand(p, out.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  const std::int64_t grain = std::max<std::int64_t>(1, kNumbersPerRange / (width * p.channels));
  parallel_for(p.images * height, grain, [&p](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(expand_rows, p, begin, end);
  });
}

}  // namespace vasa_cam
