#include "sampler/sampler_data.h"

namespace vasa_cam {
namespace {

Affine take_affine(Layout& layout, DType precision, std::int64_t outputs, std::int64_t inputs) {
  Affine affine{};
  affine.inputs = inputs;
  affine.outputs = outputs;
  if (precision == DType::f32) {
    affine.weight = layout.take<float>(padded(outputs) * padded(inputs));
  } else {
    affine.half = layout.take<std::uint16_t>(half_padded(outputs) * half_padded(inputs));
  }
  affine.bias = layout.take<float>(padded(outputs));
  return affine;
}

Norm take_norm(Layout& layout, std::int64_t width) {
  Norm norm{};
  norm.gain = layout.take<float>(padded(width));
  norm.shift = layout.take<float>(padded(width));
  return norm;
}

}  // namespace

SamplerWeights lay_out_weights(const SamplerSizes& size, Device device, DType precision, char* base,
                               std::int64_t* bytes) {
  Layout layout(base);
  SamplerWeights weights{};
  weights.size = size;
  weights.precision = precision;
  weights.noisy = take_affine(layout, DType::f32, size.width, size.channels);
  const std::int64_t qkv_outputs =
      device == Device::cpu ? 3 * size.heads * padded(size.head_width()) : 3 * size.width;
  for (std::int64_t layer = 0; layer < size.layers; ++layer) {
    SamplerLayer taken{};
    taken.qkv = take_affine(layout, precision, qkv_outputs, size.width);
    taken.out = take_affine(layout, precision, size.width, size.width);
    taken.up = take_affine(layout, precision, size.hidden, size.width);
    taken.down = take_affine(layout, precision, size.width, size.hidden);
    if (size.form.norm_after) {
      taken.norm1 = take_norm(layout, size.width);
      taken.norm2 = take_norm(layout, size.width);
    }
    if (size.form.memory) {
      taken.cross = take_affine(layout, precision, size.width, size.width);
      taken.cross_norm = take_norm(layout, size.width);
    }
    weights.layers.push_back(taken);
  }
  if (size.form.hidden_head)
    weights.head_hidden = take_affine(layout, precision, size.last, size.width);
  weights.head = take_affine(layout, DType::f32, size.channels, size.last);
  *bytes = layout.bytes();
  return weights;
}

SamplerScratch lay_out_scratch(const SamplerSizes& size, const WindowSizes& window, char* base,
                               std::int64_t* bytes) {
  Layout layout(base);
  SamplerScratch scratch{};
  const std::int64_t rows = window.rows();
  const std::int64_t width = row_stride(size.width);
  const std::int64_t channels = row_stride(size.channels);
  const std::int64_t head_width = padded(size.head_width());
  const std::int64_t items = size.heads * window.passes;
  const std::int64_t keys = padded(window.tokens()) * size.head_width();
  const std::int64_t head_floats = 2 * window.tokens() * head_width + padded(keys);
  scratch.tokens = layout.take<float>(rows * width);
  scratch.residual = layout.take<float>(rows * width);
  scratch.normed = layout.take<float>(rows * width);
  scratch.attended = layout.take<float>(rows * width);
  scratch.hidden = layout.take<float>(rows * row_stride(size.hidden));
  scratch.first_heads = layout.take<float>(items * head_floats);
  scratch.heads = layout.take<float>(items * head_floats);
  scratch.scores = layout.take<float>(items * kScoreRows * padded(window.tokens()));
  scratch.noised = layout.take<float>(window.frames * channels);
  scratch.clean = layout.take<float>(window.frames * channels);
  scratch.crossed = layout.take<float>(size.form.memory ? size.layers * rows * width : 0);
  scratch.combined = layout.take<float>(window.frames * row_stride(size.last));
  scratch.head_bias = layout.take<float>(channels);
  *bytes = layout.bytes();
  return scratch;
}

LayerCall layer_call(const SamplerSizes& size, const WindowSizes& window, std::int64_t step,
                     std::int64_t layer) {
  const bool kept = !size.form.norm_after && !size.form.time_everywhere;
  const bool known = kept && layer == 0 && step > 0;
  const bool last = layer == size.layers - 1;
  return {layer, known ? window.last_frames() : window.all(),
          last ? window.last_frames() : window.all()};
}

}  // namespace vasa_cam
