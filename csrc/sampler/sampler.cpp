#include "vasa_cam/sampler.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "common/thread_pool.h"
#include "sampler/sampler_data.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(embed_frames, const SamplerCall& call, std::int64_t step);
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
VASA_SIMD_DECLARE(finish_step, const SamplerCall& call, std::int64_t step);

std::int64_t sampler_cuda_scratch_bytes(const SamplerSizes& size, const WindowSizes& window);
void launch_sampler(const SamplerWeights& weights, const WindowSizes& window,
                    const SamplerArrays& arrays, char* scratch, int device_id, void* stream);

namespace {

constexpr const char* kOp = "sample_window";
constexpr std::int64_t kRowsPerRange = 64;
// Weights of a range of panels; they stay in the second-level cache from one block of rows to the
// next.
constexpr std::int64_t kRangeBytes = 512 * 1024;

// Scratch memory that outlives the call: on the CPU any idle block will do; on a GPU a stream keeps
// its own, because its work goes on after the call.
class ScratchPool {
 public:
  using Block = std::unique_ptr<MemoryBlock>;

  ScratchPool(Device device, int device_id) : device_(device), device_id_(device_id) {}

  struct Entry {
    std::int64_t bytes = 0;
    void* stream = nullptr;
    Block memory;
  };

  Entry take(std::int64_t bytes, void* stream) {
    Entry entry;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const Entry& candidate) {
        return candidate.stream == stream;
      });
      if (found != idle_.end()) {
        entry = std::move(*found);
        idle_.erase(found);
      }
    }
    if (entry.bytes < bytes) {
      entry.memory = std::make_unique<MemoryBlock>(bytes, device_, device_id_);
      entry.bytes = bytes;
      entry.stream = stream;
    }
    return entry;
  }

  void give_back(Entry entry) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(entry));
  }

 private:
  Device device_;
  int device_id_;
  std::mutex mutex_;
  std::vector<Entry> idle_;
};

class ScratchLease {
 public:
  ScratchLease(ScratchPool& pool, std::int64_t bytes, void* stream)
      : pool_(pool), entry_(pool.take(bytes, stream)) {}
  ~ScratchLease() { pool_.give_back(std::move(entry_)); }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;

  char* data() const { return entry_.memory->data(); }

 private:
  ScratchPool& pool_;
  ScratchPool::Entry entry_;
};

void check_affine(const AffineTensors& affine, const char* name, std::int64_t outputs,
                  std::int64_t inputs) {
  constexpr const char* op = "SamplerModel";
  check_tensor(affine.weight, op, name, DType::f32, Device::cpu, {outputs, inputs});
  check_tensor(affine.bias, op, name, DType::f32, Device::cpu, {outputs});
}

void check_norm(const AffineTensors& norm, const char* name, std::int64_t width) {
  constexpr const char* op = "SamplerModel";
  check_tensor(norm.weight, op, name, DType::f32, Device::cpu, {width});
  check_tensor(norm.bias, op, name, DType::f32, Device::cpu, {width});
}

SamplerSizes check_tensors(const SamplerTensors& tensors, std::int64_t heads) {
  constexpr const char* op = "SamplerModel";
  require(!tensors.layers.empty(), op, "needs at least one layer");
  check_tensor(tensors.noisy.weight, op, "noisy", DType::f32, Device::cpu, {kAnySize, kAnySize});
  SamplerSizes size;
  size.layers = static_cast<std::int64_t>(tensors.layers.size());
  size.width = tensors.noisy.weight.shape[0];
  size.channels = tensors.noisy.weight.shape[1];
  size.heads = heads;
  check_tensor(tensors.layers.front().up.weight, op, "up", DType::f32, Device::cpu,
               {kAnySize, size.width});
  size.hidden = tensors.layers.front().up.weight.shape[0];
  require(size.width > 0 && size.channels > 0 && size.hidden > 0, op, "no size may be zero");
  require(heads > 0 && size.width % heads == 0, op, "heads must divide the width");
  check_affine(tensors.noisy, "noisy", size.width, size.channels);
  for (const SamplerLayerTensors& layer : tensors.layers) {
    check_norm(layer.norm1, "norm1", size.width);
    check_affine(layer.qkv, "qkv", 3 * size.width, size.width);
    check_affine(layer.out, "out", size.width, size.width);
    check_norm(layer.norm2, "norm2", size.width);
    check_affine(layer.up, "up", size.hidden, size.width);
    check_affine(layer.down, "down", size.width, size.hidden);
  }
  check_norm(tensors.final_norm, "final_norm", size.width);
  check_affine(tensors.head, "head", size.channels, size.width);
  return size;
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
  check(window.coefficients, "coefficients", {sizes.steps, 2});
  check(window.guidance, "guidance", {sizes.passes});
  check(window.noise, "noise", {sizes.frames, size.channels});
  check_output(out, kOp, "out", DType::f32, device, {sizes.frames, size.channels});
  require(sizes.passes > 0 && sizes.steps > 0, kOp, "needs at least one pass and one step");
  return sizes;
}

// Copies rows of `count` floats to rows of `stride` floats, the rest of which becomes zero.
void copy_rows(const float* from, std::int64_t rows, std::int64_t count, std::int64_t stride,
               float* to) {
  for (std::int64_t row = 0; row < rows; ++row) {
    if (from != nullptr) std::copy_n(from + row * count, count, to + row * stride);
    std::fill(to + row * stride + (from != nullptr ? count : 0), to + (row + 1) * stride, 0.0f);
  }
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
  float sum = 0.0f;
  for (std::int64_t pass = 0; pass < window.passes; ++pass) sum += call.arrays.guidance[pass];
  const Affine& head = call.weights->head;
  for (std::int64_t channel = 0; channel < padded(size.channels); ++channel) {
    call.scratch.head_bias[channel] = sum * head.bias[channel];
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

void run_layer(const SamplerCall& call, const LayerCall& layer) {
  const SamplerLayer& weights = call.layers[layer.layer];
  const std::int64_t passes = call.window.passes;
  parallel_for(passes * layer.fresh.count, kRowsPerRange,
               [&](std::int64_t begin, std::int64_t end) {
                 VASA_SIMD_CALL(norm_inputs, call, layer, begin, end);
               });
  parallel_for(passes * call.weights->size.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(attend_heads, call, layer, begin, end);
  });
  for_panels(weights.out, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(project_attended, call, layer, begin, end);
  });
  parallel_for(passes * layer.wanted.count, kRowsPerRange,
               [&](std::int64_t begin, std::int64_t end) {
                 VASA_SIMD_CALL(norm_attended, call, layer, begin, end);
               });
  for_panels(weights.up, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(widen, call, layer, begin, end);
  });
  for_panels(weights.down, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(narrow, call, layer, begin, end);
  });
}

void run_cpu(const SamplerCall& call) {
  const SamplerSizes& size = call.weights->size;
  const WindowSizes& window = call.window;
  begin_window(call);
  for (std::int64_t step = 0; step < window.steps; ++step) {
    VASA_SIMD_CALL(embed_frames, call, step);
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
  State(const SamplerSizes& size, std::int64_t bytes, Device where, Device layout, int ordinal)
      : device(where), device_id(ordinal), memory(bytes, where, ordinal), pool(where, ordinal) {
    std::int64_t used = 0;
    weights = lay_out_weights(size, layout, memory.data(), &used);
  }

  Device device;
  int device_id;
  MemoryBlock memory;
  SamplerWeights weights;
  ScratchPool pool;
};

SamplerModel::SamplerModel(const SamplerTensors& tensors, std::int64_t heads, Device device,
                           int device_id) {
  const SamplerSizes size = check_tensors(tensors, heads);
  std::int64_t bytes = 0;
  lay_out_weights(size, device, nullptr, &bytes);
  auto prepared = std::make_unique<State>(size, bytes, Device::cpu, device, 0);
  fill_weights(tensors, device, prepared->weights);
  if (device == Device::cpu) {
    state_ = std::move(prepared);
    return;
  }
  // The same layout on the GPU: one copy brings everything over.
  state_ = std::make_unique<State>(size, bytes, device, device, device_id);
  state_->memory.copy_from_host(prepared->memory.data(), bytes);
}

SamplerModel::~SamplerModel() = default;

void SamplerModel::run(const SamplerWindow& window, const TensorView& out, void* stream) const {
  State& state = *state_;
  const SamplerSizes& size = state.weights.size;
  const WindowSizes sizes = check_window(window, out, size, state.device);
  if (sizes.frames == 0) return;

  const SamplerArrays arrays{window.condition.as<const float>(),
                             window.time.as<const float>(),
                             window.coefficients.as<const float>(),
                             window.guidance.as<const float>(),
                             window.position.as<const float>(),
                             window.noise.as<const float>(),
                             out.as<float>()};
  std::int64_t bytes = 0;
  if (state.device == Device::cuda) {
    VASA_CUDA_CALL(kOp, bytes = sampler_cuda_scratch_bytes(size, sizes));
    const ScratchLease scratch(state.pool, bytes, stream);
    VASA_CUDA_CALL(
        kOp, launch_sampler(state.weights, sizes, arrays, scratch.data(), state.device_id, stream));
    return;
  }
  lay_out_scratch(size, sizes, nullptr, &bytes);
  const ScratchLease lease(state.pool, bytes, nullptr);
  const SamplerCall call{&state.weights, state.weights.layers.data(), sizes,
                         lay_out_scratch(size, sizes, lease.data(), &bytes), arrays};
  run_cpu(call);
}

}  // namespace vasa_cam
