// CUDA twin in float32, for every size: five kernels for a layer (seven with norms after the sums)
// and one between two steps, all on the caller's stream; nothing is allocated and nothing waits, so
// that a window can be captured into a graph.
#include "sampler/product_kernel.cuh"
#include "vasa_cam/error.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr std::int64_t kMostRows = 65535 * kTile;  // of a grid's second axis

// Rows are padded to kPanel floats, as the weights are.
struct DeviceScratch {
  float* tokens;     // [P T, D] input of the first layer
  float* residual;   // [P T, D]
  float* attended;   // [P T, D]
  float* hidden;     // [P T, F]
  float* first_qkv;  // [P T, 3 D] of the first layer
  float* qkv;        // [P T, 3 D] of the others
  float* noised;     // [W, C]
  float* crossed;    // [L, P T, D] with form.memory
  float* last;       // [P T, E] with form.hidden_head
};

DeviceScratch lay_out_device(const SamplerSizes& size, const WindowSizes& window, char* base,
                             std::int64_t* bytes) {
  Layout layout(base);
  DeviceScratch scratch{};
  const std::int64_t rows = window.rows();
  scratch.tokens = layout.take<float>(rows * padded(size.width));
  scratch.residual = layout.take<float>(rows * padded(size.width));
  scratch.attended = layout.take<float>(rows * padded(size.width));
  scratch.hidden = layout.take<float>(rows * padded(size.hidden));
  scratch.first_qkv = layout.take<float>(rows * padded(3 * size.width));
  scratch.qkv = layout.take<float>(rows * padded(3 * size.width));
  scratch.noised = layout.take<float>(window.frames * padded(size.channels));
  scratch.crossed =
      layout.take<float>(size.form.memory ? size.layers * rows * padded(size.width) : 0);
  scratch.last = layout.take<float>(size.form.hidden_head ? rows * padded(size.last) : 0);
  *bytes = layout.bytes();
  return scratch;
}

// Sizes are 32 bits wide, which keeps addresses in the inner loops small: a window has fewer
// tokens, and a token fewer numbers.
struct Attention {
  const float* qkv;  // [P T, 3 D]
  float* attended;   // [P T, D]
  int tokens;
  int wanted;  // the last tokens of each pass ask
  int heads;
  int head_width;
  int qkv_stride;       // floats between tokens
  int attended_stride;  // floats between tokens
};

struct RunningSoftmax {
  float most = -INFINITY;
  float total = 0.0f;
};

// Up to 32 more keys for one query, by one warp: a lane for a key, then for a number of the values.
__device__ void attend_keys(int width, const float* query, const float* keys, const float* values,
                            int stride, int count, float* sums, RunningSoftmax& softmax) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float score = -INFINITY;
  if (lane < count) {
    score = 0.0f;
    const float* key = keys + lane * stride;
    for (int at = 0; at < width; ++at) score += query[at] * key[at];
  }
  float most = score;
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, offset));
  }
  most = fmaxf(most, softmax.most);
  const float fade = power_of_two(softmax.most - most);
  const float power = lane < count ? power_of_two(score - most) : 0.0f;
  softmax.most = most;
  softmax.total = softmax.total * fade + warp_sum(power);
  for (int first = 0; first < width; first += kWarp) {
    const int at = first + lane;
    float sum = 0.0f;
    for (int key = 0; key < count; ++key) {
      const float weight = __shfl_sync(0xffffffffu, power, key);
      if (at < width) sum += weight * values[key * stride + at];
    }
    if (at < width) sums[at] = sums[at] * fade + sum;
  }
}

// A block for kWarps queries of one head of one pass. With kShared the block brings 32 keys and
// values at a time to shared memory; without, for very wide heads, it works in global memory. Four
// blocks to a multiprocessor leave registers enough; for more the compiler would spill some.
template <bool kShared>
__global__ void __launch_bounds__(kThreads, 4) attention_kernel(Attention a) {
  VASA_SHARED_ARRAY(float, memory);
  let_next_begin();
  wait_for_previous();
  const int pass = static_cast<int>(blockIdx.y) / a.heads;
  const int head = static_cast<int>(blockIdx.y) % a.heads;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int width = a.head_width;
  const int asking = a.tokens - a.wanted + static_cast<int>(blockIdx.x) * kWarps + warp;
  const bool active = asking < a.tokens;
  const std::int64_t first_token = static_cast<std::int64_t>(pass) * a.tokens;
  const float* rows = a.qkv + first_token * a.qkv_stride + head * width;
  const float* query = rows + static_cast<std::int64_t>(asking) * a.qkv_stride;
  float* target = a.attended + (first_token + asking) * a.attended_stride + head * width;
  // An odd distance between keys, so that the lanes read from different banks.
  const int shared_stride = width | 1;
  float* shared_keys = memory;
  float* shared_values = shared_keys + kWarp * shared_stride;
  float* sums = kShared ? shared_values + kWarp * shared_stride + warp * width : target;
  if (active) {
    for (int at = lane; at < width; at += kWarp) sums[at] = 0.0f;
  }
  RunningSoftmax softmax;
  for (int first = 0; first < a.tokens; first += kWarp) {
    const int count = a.tokens - first < kWarp ? a.tokens - first : kWarp;
    const float* keys = rows + static_cast<std::int64_t>(first) * a.qkv_stride + a.heads * width;
    const float* values = keys + a.heads * width;
    if (!kShared) {
      if (active) {
        attend_keys(width, query, keys, values, a.qkv_stride, count, sums, softmax);
      }
      continue;
    }
    __syncthreads();
    for (int at = static_cast<int>(threadIdx.x); at < count * width; at += kThreads) {
      const int from = at / width * a.qkv_stride + at % width;
      const int to = at / width * shared_stride + at % width;
      shared_keys[to] = keys[from];
      shared_values[to] = values[from];
    }
    __syncthreads();
    if (active) {
      attend_keys(width, query, shared_keys, shared_values, shared_stride, count, sums, softmax);
    }
  }
  if (!active) return;
  for (int at = lane; at < width; at += kWarp) target[at] = sums[at] / softmax.total;
}

void launch_attention(const LaunchQueue& queue, const Attention& a, std::int64_t passes) {
  const int floats = 2 * kWarp * (a.head_width | 1) + kWarps * a.head_width;
  LaunchShape shape;
  shape.blocks = dim3(blocks_for(a.wanted, kWarps), static_cast<unsigned>(passes * a.heads));
  shape.threads = kThreads;
  shape.shared_bytes = static_cast<std::size_t>(floats) * sizeof(float);
  if (shape.shared_bytes <= kSharedBytes) {
    launch(queue, attention_kernel<true>, shape, a);
  } else {
    shape.shared_bytes = 0;
    launch(queue, attention_kernel<false>, shape, a);
  }
}

// What the launches of a window share.
struct Window {
  LaunchQueue queue;
  const SamplerWeights& weights;
  const WindowSizes& sizes;
  const DeviceScratch& scratch;

  const SamplerSizes& size() const { return weights.size; }
};

Product product_of(const float* input, std::int64_t input_stride, const TokenRows& map,
                   std::int64_t passes, const Affine& affine) {
  Product p{};
  p.input = input;
  p.input_stride = input_stride;
  p.map = map;
  p.rows = passes * map.count;
  p.affine = affine;
  p.output_stride = padded(affine.outputs);
  return p;
}

// Norms after the sums, in place; with the memory's share and its norm between the two.
void settle_rows(const Window& w, const TokenRows& map, const Norm& first, const float* added,
                 const Norm& second) {
  RowStage<float> stage{};
  stage.input = w.scratch.residual;
  stage.map = map;
  stage.rows = static_cast<int>(w.sizes.passes * map.count);
  stage.width = static_cast<int>(w.size().width);
  stage.pitch = static_cast<int>(padded(w.size().width));
  stage.first = first;
  stage.added = added;
  stage.added_pitch = stage.pitch;
  stage.second = second;
  stage.residual = w.scratch.residual;
  launch_rows(w.queue, stage);
}

// As LayerCall of the CPU twin, with every array at its full number of rows.
void launch_layer(const Window& w, const LayerCall& layer) {
  const SamplerSizes& size = w.size();
  const SamplerLayer& weights = w.weights.layers[static_cast<std::size_t>(layer.layer)];
  const DeviceScratch& scratch = w.scratch;
  const std::int64_t stride = padded(size.width);
  const float* input = layer.layer == 0 ? scratch.tokens : scratch.residual;
  float* qkv = layer.layer == 0 ? scratch.first_qkv : scratch.qkv;
  Product p = product_of(input, stride, layer.fresh, w.sizes.passes, weights.qkv);
  p.output = qkv;
  p.queries = size.width;
  p.asked = layer.wanted.count;
  if (size.form.norm_after) {
    launch_product<false, Keep::plain>(w.queue, p);
  } else {
    launch_product<true, Keep::plain>(w.queue, p);
  }

  Attention attention{};
  attention.qkv = qkv;
  attention.attended = scratch.attended;
  attention.tokens = static_cast<int>(w.sizes.tokens());
  attention.wanted = static_cast<int>(layer.wanted.count);
  attention.heads = static_cast<int>(size.heads);
  attention.head_width = static_cast<int>(size.head_width());
  attention.qkv_stride = static_cast<int>(padded(3 * size.width));
  attention.attended_stride = static_cast<int>(stride);
  launch_attention(w.queue, attention, w.sizes.passes);

  p = product_of(scratch.attended, stride, layer.wanted, w.sizes.passes, weights.out);
  p.residual = input;
  p.output = scratch.residual;
  launch_product<false, Keep::add>(w.queue, p);
  if (size.form.norm_after) {
    const float* crossed = scratch.crossed + layer.layer * w.sizes.rows() * stride;
    settle_rows(w, layer.wanted, weights.norm1, size.form.memory ? crossed : nullptr,
                weights.cross_norm);
  }

  p = product_of(scratch.residual, stride, layer.wanted, w.sizes.passes, weights.up);
  p.output = scratch.hidden;
  if (size.form.norm_after) {
    launch_active_product<false>(w.queue, p, size.form.activation);
  } else {
    launch_active_product<true>(w.queue, p, size.form.activation);
  }
  p = product_of(scratch.hidden, padded(size.hidden), layer.wanted, w.sizes.passes, weights.down);
  p.residual = scratch.residual;
  p.output = scratch.residual;
  launch_product<false, Keep::add>(w.queue, p);
  if (size.form.norm_after) settle_rows(w, layer.wanted, weights.norm2, nullptr, Norm{});
}

// What no step changes.
void begin_window(const Window& w, const SamplerArrays& arrays) {
  const SamplerSizes& size = w.size();
  if (!size.form.time_everywhere) {
    launch_conditions(w.queue, {w.sizes, arrays.condition, size.width, w.scratch.tokens});
  }
  if (!size.form.memory) return;
  // To rows that can be read four numbers at a time.
  RowStage<float> copy{};
  copy.input = arrays.memory;
  copy.map = w.sizes.all();
  copy.rows = static_cast<int>(w.sizes.rows());
  copy.width = static_cast<int>(size.width);
  copy.pitch = copy.width;
  copy.output = w.scratch.attended;
  copy.output_pitch = static_cast<int>(padded(size.width));
  launch_rows(w.queue, copy);
  for (std::int64_t layer = 0; layer < size.layers; ++layer) {
    const Affine& cross = w.weights.layers[static_cast<std::size_t>(layer)].cross;
    Product p =
        product_of(w.scratch.attended, padded(size.width), w.sizes.all(), w.sizes.passes, cross);
    p.output = w.scratch.crossed + layer * w.sizes.rows() * padded(size.width);
    launch_product<false, Keep::plain>(w.queue, p);
  }
}

}  // namespace

std::int64_t sampler_cuda_scratch_bytes(const SamplerSizes& size, const WindowSizes& window) {
  std::int64_t bytes = 0;
  lay_out_device(size, window, nullptr, &bytes);
  return bytes;
}

void launch_sampler(const SamplerWeights& weights, const WindowSizes& window,
                    const SamplerArrays& arrays, char* memory, int device_id, void* stream) {
  const SamplerSizes& size = weights.size;
  require(turn_shared_bytes(size, window) <= kSharedBytes, "sample_window",
          "on a GPU, width and channels together must be at most 12,000");
  require(static_cast<std::size_t>(kRowWarps * size.width) * sizeof(float) <= kSharedBytes,
          "sample_window", "on a GPU the width must be at most 3,072");
  require(window.rows() <= kMostRows && window.passes * size.heads <= 65535, "sample_window",
          "the window has more tokens, or passes times heads, than a GPU's grid");
  const CudaDeviceGuard guard(device_id);
  std::int64_t bytes = 0;
  const DeviceScratch scratch = lay_out_device(size, window, memory, &bytes);
  const Window w{launch_queue(device_id, stream), weights, window, scratch};
  begin_window(w, arrays);
  const bool hidden = size.form.hidden_head;
  const LastRows last{hidden ? scratch.last : scratch.residual, padded(size.last), window.tokens(),
                      window.condition};
  for (std::int64_t step = 0; step <= window.steps; ++step) {
    launch_turn(w.queue,
                {window, arrays, size.form, weights.noisy, weights.head, last, scratch.tokens,
                 scratch.noised, step},
                size);
    if (step == window.steps) break;
    for (std::int64_t layer = 0; layer < size.layers; ++layer) {
      launch_layer(w, layer_call(size, window, step, layer));
    }
    if (hidden) {
      Product p = product_of(scratch.residual, padded(size.width), window.last_frames(),
                             window.passes, weights.head_hidden);
      p.output = scratch.last;
      launch_active_product<false>(w.queue, p, size.form.activation);
    }
  }
}

}  // namespace vasa_cam
