// What the sampler refuses.
#include "sampler/sampler_data.h"
#include "vasa_cam/error.h"

namespace vasa_cam {
namespace {

constexpr const char* kModel = "SamplerModel";
constexpr const char* kOp = "sample_window";

void check_affine(const AffineTensors& affine, const char* name, std::int64_t outputs,
                  std::int64_t inputs) {
  check_tensor(affine.weight, kModel, name, DType::f32, Device::cpu, {outputs, inputs});
  check_tensor(affine.bias, kModel, name, DType::f32, Device::cpu, {outputs});
}

void check_norm(const AffineTensors& norm, const char* name, std::int64_t width) {
  check_tensor(norm.weight, kModel, name, DType::f32, Device::cpu, {width});
  check_tensor(norm.bias, kModel, name, DType::f32, Device::cpu, {width});
}

}  // namespace

SamplerSizes check_tensors(const SamplerTensors& tensors, std::int64_t heads) {
  require(!tensors.layers.empty(), kModel, "needs at least one layer");
  check_tensor(tensors.noisy.weight, kModel, "noisy", DType::f32, Device::cpu,
               {kAnySize, kAnySize});
  SamplerSizes size;
  size.layers = static_cast<std::int64_t>(tensors.layers.size());
  size.width = tensors.noisy.weight.shape[0];
  size.channels = tensors.noisy.weight.shape[1];
  size.heads = heads;
  check_tensor(tensors.layers.front().up.weight, kModel, "up", DType::f32, Device::cpu,
               {kAnySize, size.width});
  size.hidden = tensors.layers.front().up.weight.shape[0];
  require(size.width > 0 && size.channels > 0 && size.hidden > 0, kModel, "no size may be zero");
  require(heads > 0 && size.width % heads == 0, kModel, "heads must divide the width");
  check_affine(tensors.noisy, "noisy", size.width, size.channels);
  size.form = tensors.form;
  require(!size.form.memory || size.form.norm_after, kModel, "memory needs norms after the sums");
  for (const SamplerLayerTensors& layer : tensors.layers) {
    check_norm(layer.norm1, "norm1", size.width);
    check_affine(layer.qkv, "qkv", 3 * size.width, size.width);
    check_affine(layer.out, "out", size.width, size.width);
    if (size.form.memory) {
      check_affine(layer.cross, "cross", size.width, size.width);
      check_norm(layer.cross_norm, "cross_norm", size.width);
    }
    check_norm(layer.norm2, "norm2", size.width);
    check_affine(layer.up, "up", size.hidden, size.width);
    check_affine(layer.down, "down", size.width, size.hidden);
  }
  size.last = size.width;
  if (size.form.hidden_head) {
    check_tensor(tensors.head_hidden.weight, kModel, "head_hidden", DType::f32, Device::cpu,
                 {kAnySize, size.width});
    size.last = tensors.head_hidden.weight.shape[0];
    require(size.last > 0, kModel, "no size may be zero");
    check_affine(tensors.head_hidden, "head_hidden", size.last, size.width);
  } else {
    check_norm(tensors.final_norm, "final_norm", size.width);
  }
  check_affine(tensors.head, "head", size.channels, size.last);
  return size;
}

void check_precision(const SamplerSizes& size, Device device, DType precision) {
  if (precision == DType::f32) return;
  require(precision == DType::f16 || precision == DType::bf16, kModel,
          "precision must be f32, f16 or bf16");
  require(device == Device::cuda, kModel, "half precision is for a GPU");
  for (const std::int64_t count : {size.width, size.hidden, size.last, size.head_width()}) {
    require(count % 16 == 0, kModel, "half precision needs sizes divisible by 16");
  }
}

WindowSizes check_window(const SamplerWindow& window, const TensorView& out,
                         const SamplerSizes& size, Device device) {
  const auto check = [device](const TensorView& tensor, const char* name,
                              std::initializer_list<std::int64_t> shape) {
    check_tensor(tensor, kOp, name, DType::f32, device, shape);
  };
  check(window.condition, "condition", {kAnySize, kAnySize, size.width});
  check(window.time, "time", {kAnySize, size.width});
  check(window.position, "position", {kAnySize, size.width});
  WindowSizes sizes;
  sizes.passes = window.condition.shape[0];
  sizes.condition = window.condition.shape[1];
  sizes.steps = window.time.shape[0];
  sizes.frames = window.position.shape[0];
  check(window.coefficients, "coefficients", {sizes.steps, window.step_noise.rank > 0 ? 3 : 2});
  check(window.guidance, "guidance", {sizes.passes});
  check(window.noise, "noise", {sizes.frames, size.channels});
  if (size.form.memory) {
    check(window.memory, "memory", {sizes.passes, sizes.tokens(), size.width});
  }
  if (window.step_noise.rank > 0) {
    check(window.step_noise, "step_noise", {sizes.steps, sizes.frames, size.channels});
  }
  check_output(out, kOp, "out", DType::f32, device, {sizes.frames, size.channels});
  require(sizes.passes > 0 && sizes.steps > 0, kOp, "needs at least one pass and one step");
  return sizes;
}

}  // namespace vasa_cam
