// sampler: every diffusion step of one window of motion, for all guidance passes.
//
// L layers, width D, F hidden numbers, H heads, C channels of a frame; P passes, N condition
// tokens, W frames, n steps. The network is a pre-norm transformer encoder that predicts the clean
// frames y from the noised ones x:
//   tokens_p = condition_p, then x noisy^T + noisy.bias + position + time_i
//   t = t + out(attention(norm1(t)));  t = t + down(silu(up(norm2(t))))      for each layer
//   y = sum_p guidance_p * head(final_norm(last W tokens_p))
//   x = keep_i * x + step_i * y
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// f32 on the CPU. A norm's weight and bias are both [D].
struct AffineTensors {
  TensorView weight;
  TensorView bias;
};

struct SamplerLayerTensors {
  AffineTensors norm1;
  AffineTensors qkv;  // [3 D, D] rows: q, k, v, each head by head
  AffineTensors out;  // [D, D]
  AffineTensors norm2;
  AffineTensors up;    // [F, D]
  AffineTensors down;  // [D, F]
};

struct SamplerTensors {
  AffineTensors noisy;  // [D, C]
  std::vector<SamplerLayerTensors> layers;
  AffineTensors final_norm;
  AffineTensors head;  // [C, D]
};

// f32 on the model's device.
struct SamplerWindow {
  TensorView condition;     // [P, N, D]
  TensorView time;          // [n, D]
  TensorView coefficients;  // [n, 2] keep, step
  TensorView guidance;      // [P]
  TensorView position;      // [W, D]
  TensorView noise;         // [W, C]
};

// The prepared weights, which never change. Windows of one model may run in several threads at
// once: each takes scratch memory of its own, which the model keeps for the next.
class SamplerModel {
 public:
  // Throws std::invalid_argument if the tensors do not fit each other.
  SamplerModel(const SamplerTensors& tensors, std::int64_t heads, Device device, int device_id);
  ~SamplerModel();
  SamplerModel(const SamplerModel&) = delete;
  SamplerModel& operator=(const SamplerModel&) = delete;

  // out: f32 [W, C] on the model's device, the clean frames of the last step. `stream` is the
  // caller's cudaStream_t, ignored on the CPU. Throws std::invalid_argument for a wrong shape.
  void run(const SamplerWindow& window, const TensorView& out, void* stream) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vasa_cam
