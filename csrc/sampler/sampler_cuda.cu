// CUDA twin: five kernels for a layer and one between two steps, all on the caller's stream;
// nothing is allocated and nothing waits, so that a window can be captured into a graph.
#include <string>

#include "sampler/product_kernel.cuh"
#include "vasa_cam/error.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr std::size_t kSharedBytes = 48 * 1024;
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
  *bytes = layout.bytes();
  return scratch;
}

__global__ void condition_kernel(WindowSizes window, const float* condition, std::int64_t width,
                                 float* tokens) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= window.passes * window.condition * width) return;
  const std::int64_t token = index / width % window.condition;
  const std::int64_t row = index / width / window.condition * window.tokens() + token;
  tokens[row * padded(width) + index % width] = condition[index];
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
  extern __shared__ float memory[];
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

void launch_attention(const Attention& a, std::int64_t passes, cudaStream_t stream) {
  const dim3 blocks(blocks_for(a.wanted, kWarps), static_cast<unsigned>(passes * a.heads));
  const int floats = 2 * kWarp * (a.head_width | 1) + kWarps * a.head_width;
  const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
  if (bytes <= kSharedBytes) {
    attention_kernel<true><<<blocks, kThreads, bytes, stream>>>(a);
  } else {
    attention_kernel<false><<<blocks, kThreads, 0, stream>>>(a);
  }
  VASA_CUDA_CHECK(cudaGetLastError());
}

// What happens between two steps.
struct Turn {
  WindowSizes window;
  SamplerArrays arrays;
  Affine noisy;
  Affine head;
  const float* residual;  // [P T, D]
  float* tokens;          // [P T, D]
  float* noised;          // [W, C]
  std::int64_t step;      // which begins; the one before it ends
};

// One output of a product, by one warp.
__device__ float warp_product(const Affine& affine, std::int64_t output, const float* inputs) {
  const float* weights = affine.weight + output * padded(affine.inputs);
  float sum = 0.0f;
  for (std::int64_t at = threadIdx.x % kWarp; at < affine.inputs; at += kWarp) {
    sum += weights[at] * inputs[at];
  }
  return warp_sum(sum);
}

// combined[D] = the guided sum over the passes of the normed last tokens of this frame.
__device__ float combine_passes(const Turn& t, std::int64_t frame, RowNorm* norm, float* combined) {
  const std::int64_t width = t.head.inputs;
  float sum = 0.0f;
  for (std::int64_t pass = 0; pass < t.window.passes; ++pass) {
    const std::int64_t row = pass * t.window.tokens() + t.window.condition + frame;
    const float* token = t.residual + row * padded(width);
    if (threadIdx.x < kWarp) {
      const RowNorm found = norm_of(token, width);
      if (threadIdx.x == 0) *norm = found;
    }
    __syncthreads();
    const float guidance = t.arrays.guidance[pass];
    sum += guidance;
    for (std::int64_t at = threadIdx.x; at < width; at += kThreads) {
      const float value = (token[at] - norm->mean) * norm->scale * guidance;
      combined[at] = pass == 0 ? value : combined[at] + value;
    }
    __syncthreads();
  }
  return sum;
}

// A block for each frame: y of the step that ends, x of the one that begins, and its tokens.
__global__ void __launch_bounds__(kThreads) turn_kernel(Turn t) {
  extern __shared__ float memory[];
  __shared__ RowNorm norm;
  float* noised = memory;
  float* combined = memory + padded(t.head.outputs);
  const std::int64_t frame = blockIdx.x;
  const std::int64_t channels = t.head.outputs;
  const std::int64_t width = t.head.inputs;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const bool writes = threadIdx.x % kWarp == 0;
  float* kept = t.noised + frame * padded(channels);
  if (t.step == 0) {
    for (std::int64_t at = threadIdx.x; at < channels; at += kThreads) {
      noised[at] = t.arrays.noise[frame * channels + at];
      kept[at] = noised[at];
    }
  } else {
    const float guidance = combine_passes(t, frame, &norm, combined);
    const float keep = t.arrays.coefficients[2 * (t.step - 1)];
    const float change = t.arrays.coefficients[2 * (t.step - 1) + 1];
    for (std::int64_t channel = warp; channel < channels; channel += kWarps) {
      const float clean = warp_product(t.head, channel, combined) + guidance * t.head.bias[channel];
      if (!writes) continue;
      noised[channel] = keep * kept[channel] + change * clean;
      kept[channel] = noised[channel];
      if (t.step == t.window.steps) t.arrays.out[frame * channels + channel] = clean;
    }
  }
  if (t.step == t.window.steps) return;
  __syncthreads();
  for (std::int64_t at = warp; at < width; at += kWarps) {
    const float product = warp_product(t.noisy, at, noised) + t.noisy.bias[at];
    if (!writes) continue;
    const float token =
        product + (t.arrays.position[frame * width + at] + t.arrays.time[t.step * width + at]);
    for (std::int64_t pass = 0; pass < t.window.passes; ++pass) {
      const std::int64_t row = pass * t.window.tokens() + t.window.condition + frame;
      t.tokens[row * padded(width) + at] = token;
    }
  }
}

// As LayerCall of the CPU twin, with every array at its full number of rows.
void launch_layer(const SamplerSizes& size, const SamplerLayer& weights, const WindowSizes& window,
                  const DeviceScratch& scratch, const LayerCall& layer, cudaStream_t stream) {
  const bool first = layer.layer == 0;
  const std::int64_t stride = padded(size.width);
  const std::int64_t wanted_rows = window.passes * layer.wanted.count;
  const float* input = first ? scratch.tokens : scratch.residual;
  float* qkv = first ? scratch.first_qkv : scratch.qkv;
  Product p{};
  p.input = input;
  p.input_stride = stride;
  p.map = layer.fresh;
  p.rows = window.passes * layer.fresh.count;
  p.affine = weights.qkv;
  p.output = qkv;
  p.output_stride = padded(3 * size.width);
  p.queries = size.width;
  p.asked = layer.wanted.count;
  launch_product<true, Keep::plain>(p, stream);

  Attention attention{};
  attention.qkv = qkv;
  attention.attended = scratch.attended;
  attention.tokens = static_cast<int>(window.tokens());
  attention.wanted = static_cast<int>(layer.wanted.count);
  attention.heads = static_cast<int>(size.heads);
  attention.head_width = static_cast<int>(size.head_width());
  attention.qkv_stride = static_cast<int>(padded(3 * size.width));
  attention.attended_stride = static_cast<int>(stride);
  launch_attention(attention, window.passes, stream);
  launch_product<false, Keep::add>({scratch.attended, stride, layer.wanted, wanted_rows,
                                    weights.out, input, scratch.residual, stride},
                                   stream);
  launch_product<true, Keep::silu>({scratch.residual, stride, layer.wanted, wanted_rows, weights.up,
                                    nullptr, scratch.hidden, padded(size.hidden)},
                                   stream);
  launch_product<false, Keep::add>({scratch.hidden, padded(size.hidden), layer.wanted, wanted_rows,
                                    weights.down, scratch.residual, scratch.residual, stride},
                                   stream);
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
  const SamplerForm& form = size.form;
  require(!form.norm_after && !form.time_everywhere && !form.hidden_head && arrays.columns == 2 &&
              form.activation == Activation::silu,
          "sample_window", "on a GPU there is only this project's own form yet");
  const std::size_t turn_bytes =
      static_cast<std::size_t>(padded(size.channels) + padded(size.width)) * sizeof(float);
  require(turn_bytes <= kSharedBytes - 64, "sample_window",
          "on a GPU, width and channels together must be at most 12,000");
  require(window.rows() <= kMostRows && window.passes * size.heads <= 65535, "sample_window",
          "the window has more tokens, or passes times heads, than a GPU's grid");
  const CudaDeviceGuard guard(device_id);
  auto* cuda_stream = static_cast<cudaStream_t>(stream);
  std::int64_t bytes = 0;
  const DeviceScratch scratch = lay_out_device(size, window, memory, &bytes);
  const std::int64_t conditions = window.passes * window.condition * size.width;
  if (conditions > 0) {
    condition_kernel<<<blocks_for(conditions, kThreads), kThreads, 0, cuda_stream>>>(
        window, arrays.condition, size.width, scratch.tokens);
    VASA_CUDA_CHECK(cudaGetLastError());
  }
  for (std::int64_t step = 0; step <= window.steps; ++step) {
    const Turn turn{window,           arrays,         weights.noisy,  weights.head,
                    scratch.residual, scratch.tokens, scratch.noised, step};
    turn_kernel<<<static_cast<unsigned>(window.frames), kThreads, turn_bytes, cuda_stream>>>(turn);
    VASA_CUDA_CHECK(cudaGetLastError());
    if (step == window.steps) break;
    for (std::int64_t layer = 0; layer < size.layers; ++layer) {
      launch_layer(size, weights.layers[static_cast<std::size_t>(layer)], window, scratch,
                   layer_call(size, window, step, layer), cuda_stream);
    }
  }
}

}  // namespace vasa_cam
