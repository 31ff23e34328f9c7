// What lies between the products, in float32: the sums and norms of token rows, and the turn from
// one diffusion step to the next.
#pragma once

#include "guided_update/guided_update_math.h"
#include "sampler/gpu.cuh"
#include "sampler/sampler_data.h"

namespace vasa_cam {
namespace {

constexpr int kRowWarps = 4;
constexpr int kTurnThreads = 512;
constexpr int kTurnWarps = kTurnThreads / kWarp;

struct RowNorm {
  float mean;
  float scale;
};

// Of one row, by one warp; each lane reads the numbers that it may have written itself.
__device__ RowNorm norm_of(const float* row, std::int64_t width) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float sum = 0.0f;
  for (std::int64_t at = lane; at < width; at += kWarp) sum += row[at];
  const float mean = warp_sum(sum) / static_cast<float>(width);
  float square = 0.0f;
  for (std::int64_t at = lane; at < width; at += kWarp)
    square += (row[at] - mean) * (row[at] - mean);
  return {mean, 1.0f / sqrtf(warp_sum(square) / static_cast<float>(width) + kNormEpsilon)};
}

// For every row in turn: input + sums, first norm, + added, second norm; that is the residual. Then
// the output of another type, normed without gain and shift if asked.
template <class T>
struct RowStage {
  const float* input;  // [P T, D]
  const float* sums;   // [splits, rows, D] that a product left, or null
  int splits;
  TokenRows map;       // which tokens
  int rows;            // how many, in all passes
  int width;           // D
  int pitch;           // floats between rows of input and residual
  Norm first;          // gain null: none
  const float* added;  // [P T, D] or null
  int added_pitch;
  Norm second;      // gain null: none
  float* residual;  // [P T, D] or null; may be `input`
  T* output;        // [rows, D] or null
  int output_pitch;
  bool normed;
};

__device__ __forceinline__ void settle(float* values, int width, const Norm& norm) {
  const RowNorm found = norm_of(values, width);
  for (int at = static_cast<int>(threadIdx.x) % kWarp; at < width; at += kWarp) {
    values[at] = (values[at] - found.mean) * found.scale * norm.gain[at] + norm.shift[at];
  }
}

// A warp for each row.
template <class T>
__global__ void __launch_bounds__(kRowWarps* kWarp) row_kernel(RowStage<T> p) {
  VASA_SHARED_ARRAY(float, memory);
  let_next_begin();
  wait_for_previous();
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int index = static_cast<int>(blockIdx.x) * kRowWarps + warp;
  if (index >= p.rows) return;
  const std::int64_t row = p.map.row(index);
  float* const values = memory + warp * p.width;
#pragma unroll 4
  for (int at = lane; at < p.width; at += kWarp) {
    float value = p.input[row * p.pitch + at];
    for (int split = 0; split < p.splits; ++split) {
      value += p.sums[(static_cast<std::int64_t>(split) * p.rows + index) * p.width + at];
    }
    values[at] = value;
  }
  if (p.first.gain != nullptr) settle(values, p.width, p.first);
  if (p.added != nullptr) {
    for (int at = lane; at < p.width; at += kWarp) values[at] += p.added[row * p.added_pitch + at];
  }
  if (p.second.gain != nullptr) settle(values, p.width, p.second);
  if (p.residual != nullptr) {
    for (int at = lane; at < p.width; at += kWarp) p.residual[row * p.pitch + at] = values[at];
  }
  if (p.output == nullptr) return;
  RowNorm norm{0.0f, 1.0f};
  if (p.normed) norm = norm_of(values, p.width);
  T* const output = p.output + static_cast<std::int64_t>(index) * p.output_pitch;
  for (int at = lane; at < p.width; at += kWarp) {
    output[at] = from_float<T>((values[at] - norm.mean) * norm.scale);
  }
}

template <class T>
void launch_rows(const LaunchQueue& queue, const RowStage<T>& p) {
  LaunchShape shape;
  shape.blocks = dim3(blocks_for(p.rows, kRowWarps));
  shape.threads = kRowWarps * kWarp;
  shape.shared_bytes = static_cast<std::size_t>(kRowWarps * p.width) * sizeof(float);
  launch(queue, row_kernel<T>, shape, p);
}

// What the head reads: the last rows of each pass, whose final norm is still to come or, with
// form.hidden_head, what the hidden head has made of them.
struct LastRows {
  const float* data;
  std::int64_t pitch;  // floats between rows
  std::int64_t rows;   // of a pass
  std::int64_t first;  // that of the first frame
};

// What happens between two steps.
struct Turn {
  WindowSizes window;
  SamplerArrays arrays;
  SamplerForm form;
  Affine noisy;
  Affine head;
  LastRows last;
  float* tokens;      // [P T, D]
  float* noised;      // [W, C]
  std::int64_t step;  // which begins; the one before it ends
};

// In shared memory: the noised frame, the combined numbers that the head reads, a norm per pass.
inline std::size_t turn_shared_bytes(const SamplerSizes& size, const WindowSizes& window) {
  return static_cast<std::size_t>(padded(size.channels) + padded(size.last)) * sizeof(float) +
         static_cast<std::size_t>(window.passes) * sizeof(RowNorm);
}

// combined = the guided sum over the passes of what the head reads of this frame; the guidance's
// sum comes back.
__device__ __forceinline__ float combine_passes(const Turn& t, std::int64_t frame, RowNorm* norms,
                                                float* combined) {
  const std::int64_t count = t.head.inputs;
  const std::int64_t pass_floats = t.last.rows * t.last.pitch;
  const float* const rows = t.last.data + (t.last.first + frame) * t.last.pitch;
  for (std::int64_t pass = threadIdx.x / kWarp; pass < t.window.passes; pass += kTurnWarps) {
    RowNorm norm{0.0f, 1.0f};
    if (!t.form.hidden_head) norm = norm_of(rows + pass * pass_floats, count);
    if (threadIdx.x % kWarp == 0) norms[pass] = norm;
  }
  __syncthreads();
  float total = 0.0f;
  for (std::int64_t pass = 0; pass < t.window.passes; ++pass) total += t.arrays.guidance[pass];
  for (std::int64_t at = threadIdx.x; at < count; at += kTurnThreads) {
    float sum = 0.0f;
    for (std::int64_t pass = 0; pass < t.window.passes; ++pass) {
      const float value = rows[pass * pass_floats + at];
      sum += (value - norms[pass].mean) * norms[pass].scale * t.arrays.guidance[pass];
    }
    combined[at] = sum;
  }
  __syncthreads();
  return total;
}

// The end of a step for one frame: y, and x for the next one.
__device__ __forceinline__ void finish_frame(const Turn& t, std::int64_t frame,
                                             const float* combined, float guidance, float* noised) {
  const std::int64_t channels = t.head.outputs;
  const std::int64_t lane = threadIdx.x % kWarp;
  const StepCoefficients c = step_coefficients(t.arrays, t.step - 1);
  float* const kept = t.noised + frame * padded(channels);
  for (std::int64_t channel = threadIdx.x / kWarp; channel < channels; channel += kTurnWarps) {
    const float* const weights = t.head.weight + channel * padded(t.head.inputs);
    float sum = 0.0f;
#pragma unroll 4
    for (std::int64_t at = lane; at < t.head.inputs; at += kWarp) sum += weights[at] * combined[at];
    const float clean = warp_sum(sum) + guidance * t.head.bias[channel];
    if (lane != 0) continue;
    float next = solver_step({c.keep, c.step, c.sigma}, kept[channel], clean);
    if (t.arrays.step_noise != nullptr) {
      const std::int64_t at = ((t.step - 1) * t.window.frames + frame) * channels + channel;
      next += c.sigma * t.arrays.step_noise[at];
    }
    noised[channel] = next;
    kept[channel] = next;
    if (t.step == t.window.steps) t.arrays.out[frame * channels + channel] = clean;
  }
}

// The beginning of a step for one frame: its token in every pass, from the noised frame.
__device__ __forceinline__ void embed_frame(const Turn& t, std::int64_t frame,
                                            const float* noised) {
  const std::int64_t width = t.noisy.outputs;
  const float* const time = t.arrays.time + t.step * width;
  for (std::int64_t at = threadIdx.x; at < width; at += kTurnThreads) {
    float sum = t.noisy.bias[at];
#pragma unroll 8
    for (std::int64_t channel = 0; channel < t.noisy.inputs; ++channel) {
      sum += t.noisy.weight[channel * padded(width) + at] * noised[channel];
    }
    const float token = sum + (t.arrays.position[frame * width + at] + time[at]);
    for (std::int64_t pass = 0; pass < t.window.passes; ++pass) {
      const std::int64_t row = pass * t.window.tokens() + t.window.condition + frame;
      t.tokens[row * padded(width) + at] = token;
    }
  }
  if (!t.form.time_everywhere) return;
  // The blocks share the condition tokens.
  const std::int64_t count = t.window.condition;
  for (std::int64_t token = frame; token < t.window.passes * count; token += t.window.frames) {
    const std::int64_t row = token / count * t.window.tokens() + token % count;
    for (std::int64_t at = threadIdx.x; at < width; at += kTurnThreads) {
      t.tokens[row * padded(width) + at] = t.arrays.condition[token * width + at] + time[at];
    }
  }
}

// A block for each frame.
__global__ void __launch_bounds__(kTurnThreads) turn_kernel(Turn t) {
  VASA_SHARED_ARRAY(float, memory);
  float* const noised = memory;
  float* const combined = noised + padded(t.head.outputs);
  auto* const norms = reinterpret_cast<RowNorm*>(combined + padded(t.head.inputs));
  const std::int64_t frame = blockIdx.x;
  const std::int64_t channels = t.head.outputs;
  let_next_begin();
  wait_for_previous();
  if (t.step == 0) {
    for (std::int64_t at = threadIdx.x; at < channels; at += kTurnThreads) {
      noised[at] = t.arrays.noise[frame * channels + at];
      t.noised[frame * padded(channels) + at] = noised[at];
    }
  } else {
    const float guidance = combine_passes(t, frame, norms, combined);
    finish_frame(t, frame, combined, guidance, noised);
  }
  if (t.step == t.window.steps) return;
  __syncthreads();
  embed_frame(t, frame, noised);
}

inline void launch_turn(const LaunchQueue& queue, const Turn& turn, const SamplerSizes& size) {
  LaunchShape shape;
  shape.blocks = dim3(static_cast<unsigned>(turn.window.frames));
  shape.threads = kTurnThreads;
  shape.shared_bytes = turn_shared_bytes(size, turn.window);
  launch(queue, turn_kernel, shape, turn);
}

// Condition tokens that no step changes, to the rows where the first layer finds them.
struct Conditions {
  WindowSizes window;
  const float* condition;  // [P, N, D]
  std::int64_t width;
  float* tokens;  // [P T, D]
};

constexpr int kCopyThreads = 256;

__global__ void __launch_bounds__(kCopyThreads) condition_kernel(Conditions c) {
  let_next_begin();
  wait_for_previous();
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kCopyThreads + threadIdx.x;
  if (index >= c.window.passes * c.window.condition * c.width) return;
  const std::int64_t token = index / c.width;
  const std::int64_t row =
      token / c.window.condition * c.window.tokens() + token % c.window.condition;
  c.tokens[row * padded(c.width) + index % c.width] = c.condition[index];
}

inline void launch_conditions(const LaunchQueue& queue, const Conditions& c) {
  const std::int64_t count = c.window.passes * c.window.condition * c.width;
  if (count == 0) return;
  LaunchShape shape;
  shape.blocks = dim3(blocks_for(count, kCopyThreads));
  shape.threads = kCopyThreads;
  launch(queue, condition_kernel, shape, c);
}

}  // namespace
}  // namespace vasa_cam
