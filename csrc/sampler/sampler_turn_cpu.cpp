// CPU twin: what happens between two steps, and what a window computes once.
#include <algorithm>

#include "sampler/panel_product.h"
#include "sampler/token_rows.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

// combined = the guided sum over the passes of the normed last tokens.
void combine_normed(const SamplerCall& call) {
  const SamplerSizes& size = call.weights->size;
  const WindowSizes& window = call.window;
  const SamplerScratch& scratch = call.scratch;
  const std::int64_t stride = row_stride(size.width);
  for (std::int64_t frame = 0; frame < window.frames; ++frame) {
    float* sum = scratch.combined + frame * stride;
    std::fill(sum, sum + stride, 0.0f);
    for (std::int64_t pass = 0; pass < window.passes; ++pass) {
      const std::int64_t row = pass * window.tokens() + window.condition + frame;
      norm_row(scratch.residual + row * stride, size.width, call.arrays.guidance[pass],
               scratch.normed);
      for (std::int64_t at = 0; at < stride; at += kLanes) {
        store(sum + at, plus(load(sum + at), load(scratch.normed + at)));
      }
    }
  }
}

// combined = the guided sum over the passes of the head's hidden numbers.
void combine_hidden(const SamplerCall& call) {
  const SamplerSizes& size = call.weights->size;
  const WindowSizes& window = call.window;
  const Affine& hidden = call.weights->head_hidden;
  const std::int64_t stride = row_stride(size.width);
  const std::int64_t last = row_stride(size.last);
  std::fill_n(call.scratch.combined, window.frames * last, 0.0f);
  for (std::int64_t pass = 0; pass < window.passes; ++pass) {
    const Vector guidance = all(call.arrays.guidance[pass]);
    const std::int64_t first = pass * window.tokens() + window.condition;
    const RowBlock tokens{call.scratch.residual + first * stride, stride, window.frames};
    multiply(tokens, hidden.inputs, hidden.weight, hidden.bias, 0, panels_of(hidden.outputs),
             [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
               alignas(64) float active[kPanel];
               for (std::int64_t r = 0; r < rows; ++r) {
                 activate(size.form.activation, tile + r * kPanel, active);
                 float* sum = call.scratch.combined + (row + r) * last + panel * kPanel;
                 for (std::int64_t c = 0; c < kPanel; c += kLanes) {
                   store(sum + c, multiply_add(guidance, load(active + c), load(sum + c)));
                 }
               }
             });
  }
}

// x += sigma z
void add_noise(const SamplerCall& call, std::int64_t step, float sigma) {
  const std::int64_t channels = call.weights->size.channels;
  const std::int64_t frames = call.window.frames;
  const float* noise = call.arrays.step_noise + step * frames * channels;
  for (std::int64_t frame = 0; frame < frames; ++frame) {
    float* x = call.scratch.noised + frame * row_stride(channels);
    for (std::int64_t at = 0; at < channels; ++at) x[at] += sigma * noise[frame * channels + at];
  }
}

}  // namespace

// crossed[layer] for the panels [begin, end) and all tokens.
void project_memory(const SamplerCall& call, std::int64_t layer, std::int64_t begin,
                    std::int64_t end) {
  const Affine& cross = call.layers[layer].cross;
  const std::int64_t stride = row_stride(cross.outputs);
  const std::int64_t rows_in_all = call.window.rows();
  float* target = call.scratch.crossed + layer * rows_in_all * stride;
  const RowBlock memory{call.arrays.memory, cross.inputs, rows_in_all};
  multiply(memory, cross.inputs, cross.weight, cross.bias, begin, end,
           [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
             for (std::int64_t r = 0; r < rows; ++r) {
               std::copy_n(tile + r * kPanel, kPanel, target + (row + r) * stride + panel * kPanel);
             }
           });
}

// The tokens that a step changes: the noised ones, the same in every pass, and the condition's
// where its time is added to all.
void embed_tokens(const SamplerCall& call, std::int64_t step) {
  const Affine& noisy = call.weights->noisy;
  const std::int64_t width = call.weights->size.width;
  const std::int64_t stride = row_stride(width);
  const WindowSizes& window = call.window;
  const float* time = call.arrays.time + step * width;
  const RowBlock frames{call.scratch.noised, row_stride(noisy.inputs), window.frames};
  multiply(frames, noisy.inputs, noisy.weight, noisy.bias, 0, panels_of(width),
           [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
             const std::int64_t first = panel * kPanel;
             const std::int64_t count = std::min(kPanel, width - first);
             for (std::int64_t r = 0; r < rows; ++r) {
               float* token = call.scratch.tokens + (window.condition + row + r) * stride + first;
               const float* position = call.arrays.position + (row + r) * width + first;
               for (std::int64_t c = 0; c < count; ++c) {
                 token[c] = tile[r * kPanel + c] + (position[c] + time[first + c]);
               }
               for (std::int64_t pass = 1; pass < window.passes; ++pass) {
                 std::copy_n(token, count, token + pass * window.tokens() * stride);
               }
             }
           });
  if (!call.weights->size.form.time_everywhere) return;
  for (std::int64_t row = 0; row < window.passes * window.condition; ++row) {
    const std::int64_t token = row / window.condition * window.tokens() + row % window.condition;
    const float* condition = call.arrays.condition + row * width;
    float* target = call.scratch.tokens + token * stride;
    for (std::int64_t at = 0; at < width; ++at) target[at] = condition[at] + time[at];
  }
}

// y by guidance, and x for the next step. The passes are weighed before the head, which is linear.
void finish_step(const SamplerCall& call, std::int64_t step) {
  const SamplerScratch& scratch = call.scratch;
  const Affine& head = call.weights->head;
  if (call.weights->size.form.hidden_head) {
    combine_hidden(call);
  } else {
    combine_normed(call);
  }
  const std::int64_t channels = row_stride(head.outputs);
  const StepCoefficients coefficients = step_coefficients(call.arrays, step);
  const float keep = coefficients.keep;
  const float change = coefficients.step;
  const RowBlock frames{scratch.combined, row_stride(head.inputs), call.window.frames};
  multiply(frames, head.inputs, head.weight, scratch.head_bias, 0, panels_of(head.outputs),
           [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
             for (std::int64_t r = 0; r < rows; ++r) {
               const std::int64_t at = (row + r) * channels + panel * kPanel;
               for (std::int64_t c = 0; c < kPanel; c += kLanes) {
                 const Vector clean = load(tile + r * kPanel + c);
                 store(scratch.clean + at + c, clean);
                 store(scratch.noised + at + c,
                       multiply_add(all(change), clean,
                                    times(all(keep), load(scratch.noised + at + c))));
               }
             }
           });
  if (call.arrays.step_noise != nullptr) add_noise(call, step, coefficients.sigma);
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
