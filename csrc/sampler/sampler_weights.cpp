// Folds what never changes into the products, and orders their weights for either twin.
#include <algorithm>
#include <cmath>
#include <cstring>

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

// Output `source` of the folded product becomes output `target`.
void place(const Folded& folded, std::int64_t source, std::int64_t target, Device device,
           const Affine& affine) {
  const float* row = folded.weight.data() + source * folded.inputs;
  if (device == Device::cpu) {
    float* panel = affine.weight + target / kPanel * kPanel * folded.inputs + target % kPanel;
    for (std::int64_t input = 0; input < folded.inputs; ++input) panel[input * kPanel] = row[input];
  } else {
    std::memcpy(affine.weight + target * padded(folded.inputs), row,
                static_cast<std::size_t>(folded.inputs) * sizeof(float));
  }
  affine.bias[target] = folded.bias[static_cast<std::size_t>(source)];
}

void place_all(const Folded& folded, Device device, const Affine& affine) {
  for (std::int64_t output = 0; output < folded.outputs; ++output) {
    place(folded, output, output, device, affine);
  }
}

// The CPU computes q, k and v of one head together: each starts a panel of its own.
void place_heads(const Folded& folded, const SamplerSizes& size, const Affine& affine) {
  const std::int64_t head_width = size.head_width();
  for (std::int64_t output = 0; output < folded.outputs; ++output) {
    const std::int64_t part = output / size.width;
    const std::int64_t head = output % size.width / head_width;
    const std::int64_t target = (head * 3 + part) * padded(head_width) + output % head_width;
    place(folded, output, target, Device::cpu, affine);
  }
}

void place_norm(const AffineTensors& from, const Norm& norm) {
  std::copy_n(from.weight.as<const float>(), from.weight.numel(), norm.gain);
  std::copy_n(from.bias.as<const float>(), from.bias.numel(), norm.shift);
}

void fill_layer(const SamplerLayerTensors& from, const SamplerSizes& size, Device device,
                const SamplerLayer& to) {
  const Folded qkv = qkv_of(from, size);
  if (device == Device::cpu) {
    place_heads(qkv, size, to.qkv);
  } else {
    place_all(qkv, device, to.qkv);
  }
  place_all(plain(from.out), device, to.out);
  const bool norm_after = size.form.norm_after;
  place_all(norm_after ? plain(from.up) : after_norm(from.up, from.norm2), device, to.up);
  place_all(plain(from.down), device, to.down);
  if (norm_after) {
    place_norm(from.norm1, to.norm1);
    place_norm(from.norm2, to.norm2);
  }
  if (size.form.memory) {
    place_all(plain(from.cross), device, to.cross);
    place_norm(from.cross_norm, to.cross_norm);
  }
}

}  // namespace

void fill_weights(const SamplerTensors& tensors, Device device, SamplerWeights& weights) {
  const SamplerSizes& size = weights.size;
  place_all(plain(tensors.noisy), device, weights.noisy);
  for (std::size_t index = 0; index < tensors.layers.size(); ++index) {
    fill_layer(tensors.layers[index], size, device, weights.layers[index]);
  }
  if (size.form.hidden_head) {
    place_all(plain(tensors.head_hidden), device, weights.head_hidden);
    place_all(plain(tensors.head), device, weights.head);
  } else {
    place_all(after_norm(tensors.head, tensors.final_norm), device, weights.head);
  }
}

}  // namespace vasa_cam
