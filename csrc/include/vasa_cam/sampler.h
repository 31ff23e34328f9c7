// sampler: every diffusion step of one window of motion, for all guidance passes.
//
// L layers, width D, F hidden numbers, H heads, C channels of a frame; P passes, N condition
// tokens, W frames, T = N + W, n steps. The network is a transformer that predicts the clean frames
// y from the noised ones x:
//   tokens_p = condition_p, then x noisy^T + noisy.bias + position + time_i
//   t = t + out(attention(norm1(t)));  t = t + down(act(up(norm2(t))))      for each layer
//   y = sum_p guidance_p * head(final_norm(last W tokens_p))
//   x = keep_i * x + step_i * y + sigma_i * z_i
// SamplerForm says where a network differs. With norm_after a layer is
//   t = norm1(t + out(attention(t)));  t = cross_norm(t + cross(memory_p));
//   t = norm2(t + down(act(up(t))))
// where the line of `cross` is there with `memory` only: cross-attention in which a token sees
// nothing but its own memory, whose softmax is 1, so that it is one product that no step changes.
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
  AffineTensors qkv;         // [3 D, D] rows: q, k, v, each head by head
  AffineTensors out;         // [D, D]
  AffineTensors cross;       // [D, D], with form.memory
  AffineTensors cross_norm;  // with form.memory
  AffineTensors norm2;
  AffineTensors up;    // [F, D]
  AffineTensors down;  // [D, F]
};

enum class Activation : std::int32_t { silu, gelu };  // gelu by the error function

// How a network is built; the same in every layer. The default is this project's own.
struct SamplerForm {
  bool norm_after = false;       // norms follow the sums instead of preceding the products
  bool memory = false;           // value-only cross-attention; needs norm_after
  bool time_everywhere = false;  // a step's embedding is added to the condition tokens too
  bool hidden_head = false;      // head(act(head_hidden(t))) instead of head(final_norm(t))
  Activation activation = Activation::silu;
};

struct SamplerTensors {
  SamplerForm form;
  AffineTensors noisy;  // [D, C]
  std::vector<SamplerLayerTensors> layers;
  AffineTensors final_norm;   // without form.hidden_head
  AffineTensors head_hidden;  // [E, D], with it
  AffineTensors head;         // [C, D], or [C, E] with form.hidden_head
};

// f32 on the model's device.
struct SamplerWindow {
  TensorView condition;     // [P, N, D]
  TensorView time;          // [n, D]
  TensorView coefficients;  // [n, 2] keep, step, or [n, 3] with sigma
  TensorView guidance;      // [P]
  TensorView position;      // [W, D]
  TensorView noise;         // [W, C]
  TensorView memory;        // [P, T, D] with form.memory, otherwise of rank 0
  TensorView step_noise;    // [n, W, C] z where there is a sigma, otherwise of rank 0
};

// The prepared weights, which never change. Windows of one model may run in several threads at
// once: each takes scratch memory of its own, which the model keeps for the next.
class SamplerModel {
 public:
  // `precision` of the products and of attention: f32, and on a GPU f16 or bf16. Throws
  // std::invalid_argument if the tensors do not fit each other or the precision.
  SamplerModel(const SamplerTensors& tensors, std::int64_t heads, Device device, int device_id,
               DType precision = DType::f32);
  ~SamplerModel();
  SamplerModel(const SamplerModel&) = delete;
  SamplerModel& operator=(const SamplerModel&) = delete;

  // out: f32 [W, C] on the model's device, the clean frames of the last step. `stream` is the
  // caller's cudaStream_t, ignored on the CPU. Throws std::invalid_argument for a wrong shape.
  void run(const SamplerWindow& window, const TensorView& out, void* stream) const;

 private:
  friend class SamplerGraph;
  struct State;
  std::unique_ptr<State> state_;
};

// The launches of one window on a GPU, captured once into a CUDA graph and replayed by one call,
// on the same arrays, whose numbers may change in between.
class SamplerGraph {
 public:
  // Bytes of workspace that a window of these sizes needs, on the model's GPU.
  static std::int64_t workspace_bytes(const SamplerModel& model, std::int64_t passes,
                                      std::int64_t condition, std::int64_t frames);

  // workspace: u8 [workspace_bytes()] on a multiple of 64 bytes; like the model and all arrays it
  // must live as long as the graph. Throws as SamplerModel::run, and for a model on the CPU.
  SamplerGraph(const SamplerModel& model, const SamplerWindow& window, const TensorView& out,
               const TensorView& workspace);
  ~SamplerGraph();
  SamplerGraph(const SamplerGraph&) = delete;
  SamplerGraph& operator=(const SamplerGraph&) = delete;

  // Two replays must not run at once.
  void replay(void* stream) const;

 private:
  void* executable_ = nullptr;
  int device_id_ = 0;
};

}  // namespace vasa_cam
