// Random networks and windows in every form, each buffer a heap block of exactly the right size, so
// that AddressSanitizer sees a read or a write past the end.
#pragma once

#include <cmath>
#include <deque>
#include <vector>

#include "test_support.h"
#include "vasa_cam/sampler.h"

namespace vasa_cam::test {

struct SamplerExampleSizes {
  std::int64_t layers, width, hidden, channels, heads;
  std::int64_t passes, condition, frames, steps;
};

class SamplerExample {
 public:
  explicit SamplerExample(const SamplerExampleSizes& s, const SamplerForm& form = {},
                          std::int64_t last = 0, bool noisy = false)
      : size(s) {
    tensors.form = form;
    tensors.noisy = affine(s.width, s.channels);
    for (std::int64_t layer = 0; layer < s.layers; ++layer) tensors.layers.push_back(make_layer());
    if (form.hidden_head) {
      tensors.head_hidden = affine(last, s.width);
    } else {
      tensors.final_norm = norm(s.width);
    }
    tensors.head = affine(s.channels, form.hidden_head ? last : s.width);
    window.condition = numbers({s.passes, s.condition, s.width}, 1.0f);
    window.time = numbers({s.steps, s.width}, 1.0f);
    window.coefficients = numbers({s.steps, noisy ? 3 : 2}, 0.5f);
    window.guidance = numbers({s.passes}, 1.0f);
    window.position = numbers({s.frames, s.width}, 1.0f);
    window.noise = numbers({s.frames, s.channels}, 1.0f);
    if (form.memory) window.memory = numbers({s.passes, s.condition + s.frames, s.width}, 1.0f);
    if (noisy) window.step_noise = numbers({s.steps, s.frames, s.channels}, 1.0f);
  }

  std::vector<float> run(const SamplerModel& model) {
    std::vector<float> out(static_cast<std::size_t>(size.frames * size.channels));
    model.run(window, view_of(out, {size.frames, size.channels}), nullptr);
    return out;
  }

  TensorView numbers(std::initializer_list<std::int64_t> shape, float scale) {
    std::int64_t count = 1;
    for (const std::int64_t axis : shape) count *= axis;
    std::vector<float>& values = memory_.emplace_back(static_cast<std::size_t>(count));
    for (float& value : values) {
      state_ = state_ * 1664525u + 1013904223u;
      value = scale * (static_cast<float>(state_ >> 8) / 8388608.0f - 1.0f);
    }
    return view_of(values, shape);
  }

  SamplerExampleSizes size;
  SamplerTensors tensors;
  SamplerWindow window;

 private:
  SamplerLayerTensors make_layer() {
    SamplerLayerTensors layer;
    layer.norm1 = norm(size.width);
    layer.qkv = affine(3 * size.width, size.width);
    layer.out = affine(size.width, size.width);
    if (tensors.form.memory) {
      layer.cross = affine(size.width, size.width);
      layer.cross_norm = norm(size.width);
    }
    layer.norm2 = norm(size.width);
    layer.up = affine(size.hidden, size.width);
    layer.down = affine(size.width, size.hidden);
    return layer;
  }
  AffineTensors affine(std::int64_t outputs, std::int64_t inputs) {
    return {numbers({outputs, inputs}, 1.7f / std::sqrt(static_cast<float>(inputs))),
            numbers({outputs}, 0.3f)};
  }
  AffineTensors norm(std::int64_t width) {
    const AffineTensors made{numbers({width}, 0.5f), numbers({width}, 0.3f)};
    for (std::int64_t at = 0; at < width; ++at) made.weight.as<float>()[at] += 1.0f;
    return made;
  }

  std::deque<std::vector<float>> memory_;
  std::uint32_t state_ = 1;
};

}  // namespace vasa_cam::test
