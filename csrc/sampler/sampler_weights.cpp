// Folds what never changes into the products, and orders their weights for either twin.
#include <algorithm>
#include <cmath>

#include "common/half.h"
#include "sampler/sampler_data.h"

namespace vasa_cam {
namespace {

// Row-major weight and bias of a product after everything is folded in.
struct Folded {
  std::vector<float> weight;  // [outputs, inputs]
  std::vector<float> bias;    // [outputs]
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
};

Folded plain(const AffineTensors& affine) {
  Folded folded;
  folded.outputs = affine.weight.shape[0];
  folded.inputs = affine.weight.shape[1];
  const auto* weight = affine.weight.as<const float>();
  const auto* bias = affine.bias.as<const float>();
  folded.weight.assign(weight, weight + affine.weight.numel());
  folded.bias.assign(bias, bias + folded.outputs);
  return folded;
}

// affine(norm(x)), where norm is left with subtracting the mean and dividing by the deviation.
Folded after_norm(const AffineTensors& affine, const AffineTensors& norm) {
  Folded folded = plain(affine);
  const auto* gain = norm.weight.as<const float>();
  const auto* shift = norm.bias.as<const float>();
  for (std::int64_t output = 0; output < folded.outputs; ++output) {
    float* row = folded.weight.data() + output * folded.inputs;
    double bias = folded.bias[static_cast<std::size_t>(output)];
    for (std::int64_t input = 0; input < folded.inputs; ++input) {
      bias += static_cast<double>(row[input]) * shift[input];
      row[input] *= gain[input];
    }
    folded.bias[static_cast<std::size_t>(output)] = static_cast<float>(bias);
  }
  return folded;
}

Folded qkv_of(const SamplerLayerTensors& layer, const SamplerSizes& size) {
  Folded folded = size.form.norm_after ? plain(layer.qkv) : after_norm(layer.qkv, layer.norm1);
  const double scale =
      static_cast<double>(kLog2E) / std::sqrt(static_cast<double>(size.head_width()));
  for (std::int64_t at = 0; at < size.width * size.width; ++at) {
    float& value = folded.weight[static_cast<std::size_t>(at)];
    value = static_cast<float>(value * scale);
  }
  for (std::int64_t at = 0; at < size.width; ++at) {
    float& value = folded.bias[static_cast<std::size_t>(at)];
    value = static_cast<float>(value * scale);
  }
  return folded;
}

// Puts products into the layout of a device and a precision.
class Placer {
 public:
  Placer(const SamplerSizes& size, Device device, DType precision)
      : size_(size), device_(device), precision_(precision) {}

  void place_all(const Folded& folded, const Affine& affine) const {
    for (std::int64_t output = 0; output < folded.outputs; ++output) {
      place(folded, output, output, affine);
    }
  }

  // On a GPU the threads that share its inputs read neighbouring outputs.
  void place_noisy(const Folded& folded, const Affine& affine) const {
    if (device_ == Device::cpu) return place_all(folded, affine);
    const std::int64_t stride = padded(folded.outputs);
    for (std::int64_t output = 0; output < folded.outputs; ++output) {
      const float* row = folded.weight.data() + output * folded.inputs;
      for (std::int64_t input = 0; input < folded.inputs; ++input) {
        affine.weight[input * stride + output] = row[input];
      }
      affine.bias[output] = folded.bias[static_cast<std::size_t>(output)];
    }
  }

  // The CPU computes q, k and v of one head together: each starts a panel of its own.
  void place_heads(const Folded& folded, const Affine& affine) const {
    if (device_ != Device::cpu) return place_all(folded, affine);
    const std::int64_t head_width = size_.head_width();
    for (std::int64_t output = 0; output < folded.outputs; ++output) {
      const std::int64_t part = output / size_.width;
      const std::int64_t head = output % size_.width / head_width;
      const std::int64_t target = (head * 3 + part) * padded(head_width) + output % head_width;
      place(folded, output, target, affine);
    }
  }

 private:
  // Output `source` of the folded product becomes output `target`.
  void place(const Folded& folded, std::int64_t source, std::int64_t target,
             const Affine& affine) const {
    const std::int64_t inputs = folded.inputs;
    const float* row = folded.weight.data() + source * inputs;
    if (affine.half != nullptr) {
      std::uint16_t* to = affine.half + target * half_padded(inputs);
      for (std::int64_t input = 0; input < inputs; ++input) to[input] = half_bits(row[input]);
    } else if (device_ == Device::cpu) {
      float* panel = affine.weight + target / kPanel * kPanel * inputs + target % kPanel;
      for (std::int64_t input = 0; input < inputs; ++input) panel[input * kPanel] = row[input];
    } else {
      std::copy_n(row, inputs, affine.weight + target * padded(inputs));
    }
    affine.bias[target] = folded.bias[static_cast<std::size_t>(source)];
  }

  std::uint16_t half_bits(float value) const {
    return precision_ == DType::f16 ? from_float<Half>(value).bits
                                    : from_float<BFloat16>(value).bits;
  }

  SamplerSizes size_;
  Device device_;
  DType precision_;
};

void place_norm(const AffineTensors& from, const Norm& norm) {
  std::copy_n(from.weight.as<const float>(), from.weight.numel(), norm.gain);
  std::copy_n(from.bias.as<const float>(), from.bias.numel(), norm.shift);
}

void fill_layer(const SamplerLayerTensors& from, const SamplerSizes& size, const Placer& placer,
                const SamplerLayer& to) {
  const bool norm_after = size.form.norm_after;
  placer.place_heads(qkv_of(from, size), to.qkv);
  placer.place_all(plain(from.out), to.out);
  placer.place_all(norm_after ? plain(from.up) : after_norm(from.up, from.norm2), to.up);
  placer.place_all(plain(from.down), to.down);
  if (norm_after) {
    place_norm(from.norm1, to.norm1);
    place_norm(from.norm2, to.norm2);
  }
  if (size.form.memory) {
    placer.place_all(plain(from.cross), to.cross);
    place_norm(from.cross_norm, to.cross_norm);
  }
}

}  // namespace

void fill_weights(const SamplerTensors& tensors, Device device, SamplerWeights& weights) {
  const SamplerSizes& size = weights.size;
  const Placer placer(size, device, weights.precision);
  placer.place_noisy(plain(tensors.noisy), weights.noisy);
  for (std::size_t index = 0; index < tensors.layers.size(); ++index) {
    fill_layer(tensors.layers[index], size, placer, weights.layers[index]);
  }
  if (size.form.hidden_head) {
    placer.place_all(plain(tensors.head_hidden), weights.head_hidden);
    placer.place_all(plain(tensors.head), weights.head);
  } else {
    placer.place_all(after_norm(tensors.head, tensors.final_norm), weights.head);
  }
}

}  // namespace vasa_cam
