#include "vasa_cam/sampler.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/thread_pool.h"
#include "sampler/sampler_data.h"
#include "sampler/scratch_pool.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(project_memory, const SamplerCall& call, std::int64_t layer, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(embed_tokens, const SamplerCall& call, std::int64_t step);
VASA_SIMD_DECLARE(norm_inputs, const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(attend_heads, const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(project_attended, const SamplerCall& call, const LayerCall& layer,
                  std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(norm_attended, const SamplerCall& call, const LayerCall& layer,
                  std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(widen, const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(narrow, const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(settle_attended, const SamplerCall& call, const LayerCall& layer,
                  std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(settle_fed, const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(finish_step, const SamplerCall& call, std::int64_t step);

std::int64_t sampler_cuda_scratch_bytes(const SamplerSizes& size, const WindowSizes& window);
void launch_sampler(const SamplerWeights& weights, const WindowSizes& window,
                    const SamplerArrays& arrays, char* scratch, int device_id, void* stream);
std::int64_t half_sampler_scratch_bytes(const SamplerSizes& size, const WindowSizes& window);
void launch_half_sampler(const SamplerWeights& weights, const WindowSizes& window,
                         const SamplerArrays& arrays, char* scratch, int device_id, void* stream);
void* begin_graph_capture(int device_id);
void* end_graph_capture(void* stream, int device_id, bool keep);
void launch_graph(void* executable, int device_id, void* stream);
void release_graph(void* executable, int device_id) noexcept;

namespace {

constexpr const char* kOp = "sample_window";
constexpr std::int64_t kRowsPerRange = 64;
// Weights of a range of panels; they stay in the second-level cache from one block of rows to the
// next.
constexpr std::int64_t kRangeBytes = 512 * 1024;

// Copies rows of `count` floats to rows of `stride` floats, the rest of which becomes zero.
void copy_rows(const float* from, std::int64_t rows, std::int64_t count, std::int64_t stride,
               float* to) {
  for (std::int64_t row = 0; row < rows; ++row) {
    if (from != nullptr) std::copy_n(from + row * count, count, to + row * stride);
    std::fill(to + row * stride + (from != nullptr ? count : 0), to + (row + 1) * stride, 0.0f);
  }
}

template <class Body>
void for_panels(const Affine& affine, Body&& body) {
  const std::int64_t panels = panels_of(affine.outputs);
  const std::int64_t bytes = kPanel * affine.inputs * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t cached = std::max<std::int64_t>(kRangeBytes / bytes, 1);
  const std::int64_t shared = std::max<std::int64_t>(panels / (2 * num_threads()), 1);
  parallel_for(panels, std::min(cached, shared), body);
}

// What a window computes once.
void begin_window(const SamplerCall& call) {
  const SamplerSizes& size = call.weights->size;
  const WindowSizes& window = call.window;
  const std::int64_t stride = row_stride(size.width);
  for (std::int64_t pass = 0; pass < window.passes; ++pass) {
    float* tokens = call.scratch.tokens + pass * window.tokens() * stride;
    copy_rows(call.arrays.condition + pass * window.condition * size.width, window.condition,
              size.width, stride, tokens);
    copy_rows(nullptr, window.frames, 0, stride, tokens + window.condition * stride);
  }
  copy_rows(call.arrays.noise, window.frames, size.channels, row_stride(size.channels),
            call.scratch.noised);
  for (std::int64_t layer = 0; size.form.memory && layer < size.layers; ++layer) {
    for_panels(call.layers[layer].cross, [&](std::int64_t begin, std::int64_t end) {
      VASA_SIMD_CALL(project_memory, call, layer, begin, end);
    });
  }
  float sum = 0.0f;
  for (std::int64_t pass = 0; pass < window.passes; ++pass) sum += call.arrays.guidance[pass];
  const Affine& head = call.weights->head;
  for (std::int64_t channel = 0; channel < padded(size.channels); ++channel) {
    call.scratch.head_bias[channel] = sum * head.bias[channel];
  }
}

void run_layer(const SamplerCall& call, const LayerCall& layer) {
  const SamplerLayer& weights = call.layers[layer.layer];
  const std::int64_t passes = call.window.passes;
  const bool norm_after = call.weights->size.form.norm_after;
  const auto for_rows = [&](std::int64_t count, auto&& body) {
    parallel_for(passes * count, kRowsPerRange, body);
  };
  if (!norm_after) {
    for_rows(layer.fresh.count, [&](std::int64_t begin, std::int64_t end) {
      VASA_SIMD_CALL(norm_inputs, call, layer, begin, end);
    });
  }
  parallel_for(passes * call.weights->size.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(attend_heads, call, layer, begin, end);
  });
  for_panels(weights.out, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(project_attended, call, layer, begin, end);
  });
  for_rows(layer.wanted.count, [&](std::int64_t begin, std::int64_t end) {
    if (norm_after) {
      VASA_SIMD_CALL(settle_attended, call, layer, begin, end);
    } else {
      VASA_SIMD_CALL(norm_attended, call, layer, begin, end);
    }
  });
  for_panels(weights.up, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(widen, call, layer, begin, end);
  });
  for_panels(weights.down, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(narrow, call, layer, begin, end);
  });
  if (norm_after) {
    for_rows(layer.wanted.count, [&](std::int64_t begin, std::int64_t end) {
      VASA_SIMD_CALL(settle_fed, call, layer, begin, end);
    });
  }
}

void run_cpu(const SamplerCall& call) {
  const SamplerSizes& size = call.weights->size;
  const WindowSizes& window = call.window;
  begin_window(call);
  for (std::int64_t step = 0; step < window.steps; ++step) {
    VASA_SIMD_CALL(embed_tokens, call, step);
    for (std::int64_t layer = 0; layer < size.layers; ++layer) {
      run_layer(call, layer_call(size, window, step, layer));
    }
    VASA_SIMD_CALL(finish_step, call, step);
  }
  for (std::int64_t frame = 0; frame < window.frames; ++frame) {
    std::copy_n(call.scratch.clean + frame * row_stride(size.channels), size.channels,
                call.arrays.out + frame * size.channels);
  }
}

}  // namespace

struct SamplerModel::State {
  State(const SamplerSizes& size, DType precision, std::int64_t bytes, Device where, Device layout,
        int ordinal)
      : device(where), device_id(ordinal), memory(bytes, where, ordinal), pool(where, ordinal) {
    std::int64_t used = 0;
    weights = lay_out_weights(size, layout, precision, memory.data(), &used);
  }

  Device device;
  int device_id;
  MemoryBlock memory;
  SamplerWeights weights;
  ScratchPool pool;
};

SamplerModel::SamplerModel(const SamplerTensors& tensors, std::int64_t heads, Device device,
                           int device_id, DType precision) {
  const SamplerSizes size = check_tensors(tensors, heads);
  check_precision(size, device, precision);
  std::int64_t bytes = 0;
  lay_out_weights(size, device, precision, nullptr, &bytes);
  auto prepared = std::make_unique<State>(size, precision, bytes, Device::cpu, device, 0);
  fill_weights(tensors, device, prepared->weights);
  if (device == Device::cpu) {
    state_ = std::move(prepared);
    return;
  }
  // The same layout on the GPU: one copy brings everything over.
  state_ = std::make_unique<State>(size, precision, bytes, device, device, device_id);
  state_->memory.copy_from_host(prepared->memory.data(), bytes);
}

SamplerModel::~SamplerModel() = default;

namespace {

SamplerArrays arrays_of(const SamplerWindow& window, const TensorView& out,
                        const SamplerForm& form) {
  SamplerArrays arrays{};
  arrays.condition = window.condition.as<const float>();
  arrays.time = window.time.as<const float>();
  arrays.coefficients = window.coefficients.as<const float>();
  arrays.guidance = window.guidance.as<const float>();
  arrays.position = window.position.as<const float>();
  arrays.noise = window.noise.as<const float>();
  if (form.memory) arrays.memory = window.memory.as<const float>();
  if (window.step_noise.rank > 0) arrays.step_noise = window.step_noise.as<const float>();
  arrays.out = out.as<float>();
  arrays.columns = window.coefficients.shape[1];
  return arrays;
}

std::int64_t cuda_scratch_bytes(const SamplerWeights& weights,
                                [[maybe_unused]] const WindowSizes& sizes) {
  std::int64_t bytes = 0;
  if (weights.precision == DType::f32) {
    VASA_CUDA_CALL(kOp, bytes = sampler_cuda_scratch_bytes(weights.size, sizes));
  } else {
    VASA_CUDA_CALL(kOp, bytes = half_sampler_scratch_bytes(weights.size, sizes));
  }
  return bytes;
}

void launch_cuda(const SamplerWeights& weights, [[maybe_unused]] const WindowSizes& sizes,
                 [[maybe_unused]] const SamplerArrays& arrays, [[maybe_unused]] char* scratch,
                 [[maybe_unused]] int device_id, [[maybe_unused]] void* stream) {
  if (weights.precision == DType::f32) {
    VASA_CUDA_CALL(kOp, launch_sampler(weights, sizes, arrays, scratch, device_id, stream));
  } else {
    VASA_CUDA_CALL(kOp, launch_half_sampler(weights, sizes, arrays, scratch, device_id, stream));
  }
}

}  // namespace

void SamplerModel::run(const SamplerWindow& window, const TensorView& out,
                       [[maybe_unused]] void* stream) const {
  State& state = *state_;
  const SamplerSizes& size = state.weights.size;
  const WindowSizes sizes = check_window(window, out, size, state.device);
  if (sizes.frames == 0) return;

  const SamplerArrays arrays = arrays_of(window, out, size.form);
  if (state.device == Device::cuda) {
    const ScratchLease scratch(state.pool, cuda_scratch_bytes(state.weights, sizes), stream);
    launch_cuda(state.weights, sizes, arrays, scratch.data(), state.device_id, stream);
    return;
  }
  std::int64_t bytes = 0;
  lay_out_scratch(size, sizes, nullptr, &bytes);
  const ScratchLease lease(state.pool, bytes, nullptr);
  const SamplerCall call{&state.weights, state.weights.layers.data(), sizes,
                         lay_out_scratch(size, sizes, lease.data(), &bytes), arrays};
  run_cpu(call);
}

std::int64_t SamplerGraph::workspace_bytes(const SamplerModel& model, std::int64_t passes,
                                           std::int64_t condition, std::int64_t frames) {
  require(model.state_->device == Device::cuda, "SamplerGraph", "needs a model on a GPU");
  return cuda_scratch_bytes(model.state_->weights, {passes, condition, frames, 1});
}

SamplerGraph::SamplerGraph(const SamplerModel& model, const SamplerWindow& window,
                           const TensorView& out, const TensorView& workspace)
    : device_id_(model.state_->device_id) {
  constexpr const char* op = "SamplerGraph";
  const SamplerModel::State& state = *model.state_;
  const SamplerSizes& size = state.weights.size;
  require(state.device == Device::cuda, op, "needs a model on a GPU");
  const WindowSizes sizes = check_window(window, out, size, state.device);
  require(sizes.frames > 0, op, "needs at least one frame");
  check_output(workspace, op, "workspace", DType::u8, state.device,
               {cuda_scratch_bytes(state.weights, sizes)});
  require(reinterpret_cast<std::uintptr_t>(workspace.data) % kBlockAlignment == 0, op,
          "workspace must begin at a multiple of 64 bytes");
  void* stream = nullptr;
  VASA_CUDA_CALL(op, stream = begin_graph_capture(device_id_));
  try {
    launch_cuda(state.weights, sizes, arrays_of(window, out, size.form), workspace.as<char>(),
                device_id_, stream);
  } catch (...) {
    VASA_CUDA_CALL(op, end_graph_capture(stream, device_id_, false));
    throw;
  }
  VASA_CUDA_CALL(op, executable_ = end_graph_capture(stream, device_id_, true));
}

SamplerGraph::~SamplerGraph() {
#ifdef VASA_CAM_WITH_CUDA
  if (executable_ != nullptr) release_graph(executable_, device_id_);
#endif
}

void SamplerGraph::replay([[maybe_unused]] void* stream) const {
  VASA_CUDA_CALL("SamplerGraph", launch_graph(executable_, device_id_, stream));
}

}  // namespace vasa_cam
