#include "vasa_cam/compose.h"

#include <algorithm>
#include <cmath>

#include "common/thread_pool.h"
#include "compose/over_scene.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(over_rows, const OverScene& s, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(eye_rows, const EyeScene& scene, const EyeState& state, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(mouth_rows, const MouthScene& scene, const MouthState& state, std::int64_t begin,
                  std::int64_t end);
void launch_over(const OverScene& scene, int device_id, void* stream);
void launch_aperture(const Chain& upper, const Chain& lower, float* out, int device_id,
                     void* stream);
void launch_eye(const EyeScene& scene, int device_id, void* stream);
void launch_mouth(const MouthScene& scene, int device_id, void* stream);

namespace {

// Enough work for a thread to be worth waking: about ten microseconds.
constexpr std::int64_t kOverPixelsPerRange = 32768;
constexpr std::int64_t kDetailRowsPerRange = 8;
constexpr std::int64_t kMaxPixels = 32768;

// A u8 image [H, W, C] on a device, C one of two.
Image check_image(const TensorView& tensor, const char* op, const char* name,
                  const TensorView& like, std::int64_t channels, std::int64_t other) {
  check_tensor(tensor, op, name, DType::u8, like.device, {kAnySize, kAnySize, kAnySize});
  require(tensor.shape[2] == channels || tensor.shape[2] == other, op,
          "an image has the wrong number of channels");
  require(tensor.shape[0] <= kMaxPixels && tensor.shape[1] <= kMaxPixels, op,
          "images must be at most 32768 pixels high and wide");
  require(tensor.device_id == like.device_id, op, "all arrays must be on one GPU");
  return {tensor.as<std::uint8_t>(), static_cast<std::int32_t>(tensor.shape[1]),
          static_cast<std::int32_t>(tensor.shape[0]), static_cast<std::int32_t>(tensor.shape[2])};
}

Image check_frame(const TensorView& frame, const char* op) {
  check_output(frame, op, "frame", DType::u8, frame.device, {kAnySize, kAnySize, kAnySize});
  return check_image(frame, op, "frame", frame, 3, 4);
}

bool is_empty(const Image& image) { return image.width == 0 || image.height == 0; }

}  // namespace

void compose_over(const TensorView& background, const TensorView& layer, std::int32_t x,
                  std::int32_t y, const TensorView& out, void* stream) {
  constexpr const char* op = "compose_over";
  const Image under = check_image(background, op, "background", out, 3, 4);
  const Image upper = check_image(layer, op, "layer", out, 4, 4);
  check_output(out, op, "out", DType::u8, out.device, {under.height, under.width, kAnySize});
  const OverScene scene{under, upper, check_image(out, op, "out", out, 4, under.channels), x, y};
  if (is_empty(under)) return;
  if (out.device == Device::cuda) {
    VASA_CUDA_CALL(op, launch_over(scene, out.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  const std::int64_t grain = std::max<std::int64_t>(1, kOverPixelsPerRange / under.width);
  parallel_for(under.height, grain, [&scene](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(over_rows, scene, begin, end);
  });
}

void aperture(const TensorView& vertices, const TensorView& upper, const TensorView& lower,
              const TensorView& out, void* stream) {
  constexpr const char* op = "aperture";
  check_tensor(vertices, op, "vertices", DType::f32, out.device, {kAnySize, 3});
  check_tensor(upper, op, "upper_chain", DType::i32, out.device, {kAnySize});
  check_tensor(lower, op, "lower_chain", DType::i32, out.device, {kAnySize});
  check_output(out, op, "out", DType::f32, out.device, {kApertureSize});
  require(upper.shape[0] >= 2 && lower.shape[0] >= 2, op, "chains must have 2 vertices or more");
  require(vertices.shape[0] >= 1, op, "vertices must not be empty");
  const auto chain = [&](const TensorView& indices) {
    return Chain{vertices.as<const float>(), indices.as<const std::int32_t>(),
                 static_cast<std::int32_t>(indices.shape[0]), vertices.shape[0]};
  };
  if (out.device == Device::cuda) {
    VASA_CUDA_CALL(
        op, launch_aperture(chain(upper), chain(lower), out.as<float>(), out.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  for (const TensorView* indices : {&upper, &lower}) {
    for (std::int64_t i = 0; i < indices->shape[0]; ++i) {
      const std::int32_t index = indices->as<const std::int32_t>()[i];
      require(index >= 0 && index < vertices.shape[0], op, "a chain's index is out of range");
    }
  }
  fill_aperture(chain(upper), chain(lower), out.as<float>());
}

void compose_eye(const TensorView& frame, const TensorView& aperture, const EyeParams& params,
                 const TensorView& sclera, const TensorView& iris, const TensorView& lid,
                 void* stream) {
  constexpr const char* op = "compose_eye";
  check_tensor(aperture, op, "aperture", DType::f32, frame.device, {kApertureSize});
  EyeScene scene{};
  scene.params = params;
  scene.aperture = aperture.as<const float>();
  scene.frame = check_frame(frame, op);
  scene.sclera = check_image(sclera, op, "sclera", frame, 3, 3);
  scene.iris = check_image(iris, op, "iris", frame, 4, 4);
  scene.lid = check_image(lid, op, "lid", frame, 3, 3);
  require(!is_empty(scene.sclera) && !is_empty(scene.iris) && !is_empty(scene.lid), op,
          "sclera, iris and lid must not be empty");
  if (is_empty(scene.frame)) return;
  const float right = params.gaze[0];
  const float up = params.gaze[1];
  scene.direction[0] = std::sin(right) * std::cos(up);
  scene.direction[1] = -std::sin(up);
  const float sine = std::hypot(scene.direction[0], scene.direction[1]);
  scene.towards[0] = sine > 1e-6f ? scene.direction[0] / sine : 1.0f;
  scene.towards[1] = sine > 1e-6f ? scene.direction[1] / sine : 0.0f;
  // Beyond 80 degrees the disc would be a line.
  scene.widening = 1.0f / std::max(std::cos(right) * std::cos(up), 0.17f) - 1.0f;
  if (frame.device == Device::cuda) {
    VASA_CUDA_CALL(op, launch_eye(scene, frame.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  const EyeState state = eye_state(scene);
  if (state.box.empty()) return;
  const std::int32_t top = state.box.y0;
  parallel_for(state.box.y1 - top, kDetailRowsPerRange, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(eye_rows, scene, state, top + begin, top + end);
  });
}

void compose_mouth(const TensorView& frame, const TensorView& aperture, const MouthParams& params,
                   const TensorView& interior, std::int32_t x, std::int32_t y, void* stream) {
  constexpr const char* op = "compose_mouth";
  check_tensor(aperture, op, "aperture", DType::f32, frame.device, {kApertureSize});
  MouthScene scene{};
  scene.params = params;
  scene.aperture = aperture.as<const float>();
  scene.frame = check_frame(frame, op);
  scene.interior = check_image(interior, op, "interior", frame, 4, 4);
  scene.x = x;
  scene.y = y;
  for (int c = 0; c < 3; ++c) scene.cavity[c] = byte_of(params.cavity_rgb[c]);
  if (is_empty(scene.frame)) return;
  if (frame.device == Device::cuda) {
    VASA_CUDA_CALL(op, launch_mouth(scene, frame.device_id, stream));
    return;
  }
  static_cast<void>(stream);
  const MouthState state = mouth_state(scene);
  if (state.box.empty()) return;
  const std::int32_t top = state.box.y0;
  parallel_for(state.box.y1 - top, kDetailRowsPerRange, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(mouth_rows, scene, state, top + begin, top + end);
  });
}

}  // namespace vasa_cam
