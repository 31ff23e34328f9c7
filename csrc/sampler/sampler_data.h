// The prepared weights, alike in meaning on the CPU and on a GPU, and the CPU's scratch of a
// window.
#pragma once

#include <cstdint>
#include <vector>

#include "common/memory_block.h"
#include "sampler/sampler_math.h"
#include "vasa_cam/sampler.h"

namespace vasa_cam {

// Outputs of a product are worked on in panels of this many; rows of scratch arrays are padded to a
// multiple of it, so that whole panels can be written.
constexpr std::int64_t kPanel = 32;

VASA_HD std::int64_t panels_of(std::int64_t count) { return (count + kPanel - 1) / kPanel; }
VASA_HD std::int64_t padded(std::int64_t count) { return panels_of(count) * kPanel; }

// Weights in half precision are padded by zeros to whole tiles of the GPU's kernel.
constexpr std::int64_t kHalfTile = 64;
VASA_HD std::int64_t half_padded(std::int64_t count) {
  return (count + kHalfTile - 1) / kHalfTile * kHalfTile;
}

// Floats between the rows of the CPU's scratch arrays: whole panels, and never a multiple of 1 KiB,
// at which a block of rows would fight for the same few sets of the first-level cache.
VASA_HD std::int64_t row_stride(std::int64_t count) {
  return padded(count) + (padded(count) % 256 == 0 ? kPanel : 0);
}

struct SamplerSizes {
  std::int64_t layers = 0;    // L
  std::int64_t width = 0;     // D
  std::int64_t hidden = 0;    // F
  std::int64_t channels = 0;  // C
  std::int64_t heads = 0;     // H
  std::int64_t last = 0;      // numbers of a token that the head reads: D, or E of a hidden head
  SamplerForm form;

  std::int64_t head_width() const { return width / heads; }
};

// y = x weight^T + bias. What never changes is folded in: a norm's weight and bias into the product
// after it, and log2(e) / sqrt(size of a head) into q, so that softmax needs powers of two.
struct Affine {
  float* weight;         // CPU: [panels of outputs][inputs][kPanel]; GPU: [outputs, inputs], padded
  std::uint16_t* half;   // instead, in half precision on a GPU: [outputs, inputs], padded to 64
  float* bias;           // [outputs], padded
  std::int64_t inputs;   //
  std::int64_t outputs;  //
};

// A norm that follows a sum and so cannot be folded into a product.
struct Norm {
  float* gain;   // [D], padded
  float* shift;  // [D], padded
};

// Norms are there with form.norm_after only; cross and its norm with form.memory.
struct SamplerLayer {
  Affine qkv;  // CPU: for every head its panels of q, then of k, then of v; GPU: as given
  Affine out;
  Affine up;
  Affine down;
  Affine cross;
  Norm norm1;
  Norm cross_norm;
  Norm norm2;
};

struct SamplerWeights {
  SamplerSizes size;
  DType precision;
  Affine noisy;  // GPU: [inputs, outputs], padded
  std::vector<SamplerLayer> layers;
  Affine head_hidden;  // with form.hidden_head
  Affine head;
};

// Pointers into `base`, or all null with only `bytes` counted. In half precision the first and the
// last product stay in float32.
SamplerWeights lay_out_weights(const SamplerSizes& size, Device device, DType precision, char* base,
                               std::int64_t* bytes);

// Fills weights that lie in CPU memory, in the layout of `device`.
void fill_weights(const SamplerTensors& tensors, Device device, SamplerWeights& weights);

// Sizes of one window.
struct WindowSizes {
  std::int64_t passes = 0;     // P
  std::int64_t condition = 0;  // N
  std::int64_t frames = 0;     // W
  std::int64_t steps = 0;      // n

  VASA_HD std::int64_t tokens() const { return condition + frames; }  // T
  VASA_HD std::int64_t rows() const { return passes * tokens(); }
  VASA_HD TokenRows all() const { return {tokens(), tokens()}; }
  VASA_HD TokenRows last_frames() const { return {tokens(), frames}; }
};

// q, k and v of one head in one pass.
struct HeadTokens {
  float* queries;  // [T, padded head width]
  float* keys;     // [panels of T][head width][kPanel]
  float* values;   // [panels of head width][T][kPanel]
};

// The CPU's scratch: rows are padded to a multiple of kPanel floats.
struct SamplerScratch {
  float* tokens;       // [P T, D] input of the first layer
  float* residual;     // [P T, D]
  float* normed;       // [P T, D]
  float* attended;     // [P T, D]
  float* hidden;       // [P T, F]
  float* first_heads;  // HeadTokens of the first layer, every head of every pass
  float* heads;        // the same of the other layers
  float* scores;       // [H P][kScoreRows, T]
  float* noised;       // [W, C] x
  float* clean;        // [W, C] y
  float* crossed;      // [L, P T, D] with form.memory: what cross-attention adds
  float* combined;     // [W, D or E] guided sum of what the head reads
  float* head_bias;    // [C] bias of the head times the sum of the guidance
};

// Rows of queries that are worked on at once, the most of any instruction set.
constexpr std::int64_t kScoreRows = 16;

// The sizes of tensors or of a window that fit; throws std::invalid_argument for those that do not.
SamplerSizes check_tensors(const SamplerTensors& tensors, std::int64_t heads);
void check_precision(const SamplerSizes& size, Device device, DType precision);
WindowSizes check_window(const SamplerWindow& window, const TensorView& out,
                         const SamplerSizes& size, Device device);

SamplerScratch lay_out_scratch(const SamplerSizes& size, const WindowSizes& window, char* base,
                               std::int64_t* bytes);

// The caller's arrays.
struct SamplerArrays {
  const float* condition;     // [P, N, D]
  const float* time;          // [n, D]
  const float* coefficients;  // [n, 2]
  const float* guidance;      // [P]
  const float* position;      // [W, D]
  const float* noise;         // [W, C]
  const float* memory;        // [P, T, D] or null
  const float* step_noise;    // [n, W, C] or null
  float* out;                 // [W, C]
  std::int64_t columns;       // of the coefficients: 2, or 3 with step_noise
};

// x' = keep x + step y + sigma z, read from the row of a step.
struct StepCoefficients {
  float keep;
  float step;
  float sigma;
};

VASA_HD StepCoefficients step_coefficients(const SamplerArrays& arrays, std::int64_t step) {
  const float* row = arrays.coefficients + step * arrays.columns;
  return {row[0], row[1], arrays.step_noise != nullptr ? row[2] : 0.0f};
}

// What the CPU's stages work on.
struct SamplerCall {
  const SamplerWeights* weights;
  const SamplerLayer* layers;  // [L] those of `weights`
  WindowSizes window;
  SamplerScratch scratch;
  SamplerArrays arrays;
};

// One layer of one step: `fresh` are the tokens whose q, k and v are to be computed (the others'
// are known from the first step), `wanted` those that the layers after it need.
struct LayerCall {
  std::int64_t layer;
  TokenRows fresh;
  TokenRows wanted;
};

// Condition tokens that no step changes keep the q, k and v that the first layer makes of them; and
// what becomes of any in the last layer is not asked for.
LayerCall layer_call(const SamplerSizes& size, const WindowSizes& window, std::int64_t step,
                     std::int64_t layer);

}  // namespace vasa_cam
