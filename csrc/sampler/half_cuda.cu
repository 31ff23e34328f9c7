// CUDA twin in float16 or bfloat16, for sizes divisible by 16. A layer is
//   rows -> product (q, k, v) -> attention -> product (out) -> rows -> product (up, activation)
//   -> product (down) -> rows
// where `rows` adds up the sums that a product left, and norms; the last of one layer is the first
// of the next. All on the caller's stream: nothing is allocated and nothing waits.
#include "sampler/half_attention.cuh"
#include "sampler/half_product.cuh"
#include "sampler/token_kernels.cuh"
#include "vasa_cam/error.h"

namespace vasa_cam {
namespace {

constexpr const char* kOp = "sample_window";
// Blocks that fill a large GPU; a constant, so that a window gives the same bytes on each.
constexpr std::int64_t kWantedBlocks = 132;
constexpr std::int64_t kEnoughBlocks = 64;
constexpr std::int64_t kMostSplits = 8;
constexpr std::int64_t kLeastDepth = 2 * kTileInputs;
constexpr std::int64_t kMostRows = 65535 * 64;

// How a product is shared out.
struct Plan {
  int tile_rows;  // 64 or 128
  int depth;      // inputs of a split
  int splits;
};

Plan plan_product(std::int64_t rows, const Affine& affine, bool may_split, bool may_be_tall) {
  Plan plan{};
  for (const int tile : {128, 64}) {
    if (tile == 128 && !may_be_tall) continue;
    const std::int64_t blocks = static_cast<std::int64_t>(blocks_for(rows, tile)) *
                                blocks_for(affine.outputs, kTileOutputs);
    std::int64_t splits = may_split ? kWantedBlocks / blocks : 1;
    const std::int64_t most = affine.inputs / kLeastDepth;
    if (splits > most) splits = most;
    if (splits > kMostSplits) splits = kMostSplits;
    if (splits < 1) splits = 1;
    const std::int64_t depth = half_padded((affine.inputs + splits - 1) / splits);
    splits = (affine.inputs + depth - 1) / depth;
    plan = {tile, static_cast<int>(depth), static_cast<int>(splits)};
    if (blocks * splits >= kEnoughBlocks) break;
  }
  return plan;
}

template <class T>
struct HalfScratch {
  float* tokens;    // [P T, D] input of the first layer
  float* residual;  // [P T, D]
  float* sums;      // [splits, P T, D] of the products that the next kernel adds up
  float* crossed;   // [L, P T, D] with form.memory
  float* last;      // [P W, E] with form.hidden_head
  float* noised;    // [W, C]
  T* normed;        // [P T, D] input of a product
  T* first_qkv;     // [P T, 3 D] of the first layer, whose condition tokens may stay
  T* qkv;           // [P T, 3 D] of the others
  T* attended;      // [P T, D]
  T* hidden;        // [P T, F]
};

template <class T>
HalfScratch<T> lay_out_half(const SamplerSizes& size, const WindowSizes& window, char* base,
                            std::int64_t* bytes) {
  Layout layout(base);
  HalfScratch<T> scratch{};
  const std::int64_t rows = window.rows();
  const std::int64_t floats = rows * padded(size.width);
  scratch.tokens = layout.take<float>(floats);
  scratch.residual = layout.take<float>(floats);
  scratch.sums = layout.take<float>(kMostSplits * rows * size.width);
  scratch.crossed = layout.take<float>(size.form.memory ? size.layers * rows * size.width : 0);
  scratch.last =
      layout.take<float>(size.form.hidden_head ? window.passes * window.frames * size.last : 0);
  scratch.noised = layout.take<float>(window.frames * padded(size.channels));
  scratch.normed = layout.take<T>(rows * size.width);
  scratch.first_qkv = layout.take<T>(rows * 3 * size.width);
  scratch.qkv = layout.take<T>(rows * 3 * size.width);
  scratch.attended = layout.take<T>(rows * size.width);
  scratch.hidden = layout.take<T>(rows * size.hidden);
  *bytes = layout.bytes();
  return scratch;
}

// The launches of one window.
template <class T>
class HalfWindow {
 public:
  HalfWindow(const LaunchQueue& queue, const SamplerWeights& weights, const WindowSizes& window,
             const SamplerArrays& arrays, char* memory)
      : queue_(queue), weights_(weights), size_(weights.size), window_(window), arrays_(arrays) {
    std::int64_t bytes = 0;
    scratch_ = lay_out_half<T>(size_, window, memory, &bytes);
  }

  void run() const {
    begin();
    const bool hidden = size_.form.hidden_head;
    const LastRows last = hidden ? LastRows{scratch_.last, size_.last, window_.frames, 0}
                                 : LastRows{scratch_.residual, padded(size_.width),
                                            window_.tokens(), window_.condition};
    for (std::int64_t step = 0; step <= window_.steps; ++step) {
      launch_turn(queue_,
                  {window_, arrays_, size_.form, weights_.noisy, weights_.head, last,
                   scratch_.tokens, scratch_.noised, step},
                  size_);
      if (step == window_.steps) break;
      for (std::int64_t layer = 0; layer < size_.layers; ++layer) {
        run_layer(layer_call(size_, window_, step, layer));
      }
      if (!hidden) continue;
      HalfProduct<T> p = product_of(scratch_.normed, window_.last_frames(), weights_.head_hidden);
      p.sums = scratch_.last;
      p.active = true;
      launch_product(p, weights_.head_hidden, false);
    }
  }

 private:
  // What no step changes.
  void begin() const {
    if (!size_.form.time_everywhere) {
      launch_conditions(queue_, {window_, arrays_.condition, size_.width, scratch_.tokens});
    }
    if (!size_.form.memory) return;
    RowStage<T> copy = rows_of(arrays_.memory, window_.all());
    copy.pitch = copy.width;
    copy.output = scratch_.normed;
    launch_rows(queue_, copy);
    for (std::int64_t layer = 0; layer < size_.layers; ++layer) {
      const Affine& cross = weights_.layers[static_cast<std::size_t>(layer)].cross;
      HalfProduct<T> p = product_of(scratch_.normed, window_.all(), cross);
      p.sums = scratch_.crossed + layer * window_.rows() * size_.width;
      launch_product(p, cross, false);
    }
  }

  // As LayerCall of the CPU twin; the inputs of products have no gaps between wanted rows.
  void run_layer(const LayerCall& layer) const {
    const SamplerLayer& weights = weights_.layers[static_cast<std::size_t>(layer.layer)];
    const bool first = layer.layer == 0;
    const bool norm_after = size_.form.norm_after;
    if (first) {
      RowStage<T> stage = rows_of(scratch_.tokens, layer.fresh);
      stage.output = scratch_.normed;
      stage.normed = !norm_after;
      launch_rows(queue_, stage);
    }
    HalfProduct<T> p = product_of(scratch_.normed, layer.fresh, weights.qkv);
    p.output = first ? scratch_.first_qkv : scratch_.qkv;
    p.output_pitch = p.outputs;
    p.map = layer.fresh;
    launch_product(p, weights.qkv, false);

    launch_half_attention(
        queue_,
        HalfAttention<T>{first ? scratch_.first_qkv : scratch_.qkv, scratch_.attended,
                         static_cast<int>(window_.tokens()), static_cast<int>(layer.wanted.count),
                         static_cast<int>(size_.heads), static_cast<int>(size_.head_width())},
        window_.passes);

    RowStage<T> stage = rows_of(first ? scratch_.tokens : scratch_.residual, layer.wanted);
    stage.splits = leave_sums(scratch_.attended, layer.wanted, weights.out);
    if (norm_after) stage.first = weights.norm1;
    if (size_.form.memory) {
      stage.added = scratch_.crossed + layer.layer * window_.rows() * size_.width;
      stage.added_pitch = stage.width;
      stage.second = weights.cross_norm;
    }
    finish_rows(stage, !norm_after);

    p = product_of(scratch_.normed, layer.wanted, weights.up);
    p.output = scratch_.hidden;
    p.output_pitch = p.outputs;
    p.map = {p.rows, p.rows};
    p.active = true;
    launch_product(p, weights.up, false);

    stage = rows_of(scratch_.residual, layer.wanted);
    stage.splits = leave_sums(scratch_.hidden, layer.wanted, weights.down);
    if (norm_after) stage.first = weights.norm2;
    // The next layer's norm; a hidden head reads the tokens as they are.
    finish_rows(stage, !norm_after && layer.layer < size_.layers - 1);
  }

  RowStage<T> rows_of(const float* input, const TokenRows& map) const {
    RowStage<T> stage{};
    stage.input = input;
    stage.map = map;
    stage.rows = static_cast<int>(window_.passes * map.count);
    stage.width = static_cast<int>(size_.width);
    stage.pitch = static_cast<int>(padded(size_.width));
    stage.output_pitch = stage.width;
    return stage;
  }

  // Adds up the sums of the product before, and makes the residual and the next product's input.
  void finish_rows(RowStage<T> stage, bool normed) const {
    stage.sums = scratch_.sums;
    stage.residual = scratch_.residual;
    stage.output = scratch_.normed;
    stage.normed = normed;
    launch_rows(queue_, stage);
  }

  HalfProduct<T> product_of(const T* input, const TokenRows& map, const Affine& affine) const {
    HalfProduct<T> p{};
    p.input = input;
    p.input_pitch = static_cast<int>(affine.inputs);
    p.rows = static_cast<int>(window_.passes * map.count);
    p.weight = reinterpret_cast<const T*>(affine.half);
    p.bias = affine.bias;
    p.inputs = static_cast<int>(affine.inputs);
    p.outputs = static_cast<int>(affine.outputs);
    p.activation = size_.form.activation;
    return p;
  }

  // Returns the number of splits.
  int leave_sums(const T* input, const TokenRows& map, const Affine& affine) const {
    HalfProduct<T> p = product_of(input, map, affine);
    p.sums = scratch_.sums;
    return launch_product(p, affine, true);
  }

  int launch_product(HalfProduct<T> p, const Affine& affine, bool may_split) const {
    const bool may_be_tall = kSharedBytesOf<128> <= queue_.most_shared_bytes;
    const Plan plan = plan_product(p.rows, affine, may_split, may_be_tall);
    p.depth = plan.depth;
    if (plan.tile_rows == 128) {
      launch_half_product<T, 128>(queue_, p);
    } else {
      launch_half_product<T, 64>(queue_, p);
    }
    return plan.splits;
  }

  LaunchQueue queue_;
  const SamplerWeights& weights_;
  const SamplerSizes& size_;
  const WindowSizes& window_;
  const SamplerArrays& arrays_;
  HalfScratch<T> scratch_;
};

}  // namespace

std::int64_t half_sampler_scratch_bytes(const SamplerSizes& size, const WindowSizes& window) {
  std::int64_t bytes = 0;
  lay_out_half<Half>(size, window, nullptr, &bytes);
  return bytes;
}

void launch_half_sampler(const SamplerWeights& weights, const WindowSizes& window,
                         const SamplerArrays& arrays, char* memory, int device_id, void* stream) {
  const SamplerSizes& size = weights.size;
  const CudaDeviceGuard guard(device_id);
  const LaunchQueue queue = launch_queue(device_id, stream);
  const AttentionMemory<Half> attention(static_cast<int>(window.tokens()),
                                        static_cast<int>(size.head_width()));
  require(attention.bytes <= queue.most_shared_bytes, kOp,
          "the window has too many tokens for half precision on this GPU; use float32");
  require(turn_shared_bytes(size, window) <= kSharedBytes &&
              static_cast<std::size_t>(kRowWarps * size.width) * sizeof(float) <= kSharedBytes,
          kOp, "on a GPU the width must be at most 3,072; use the CPU");
  require(window.rows() <= kMostRows && window.passes * size.heads <= 65535, kOp,
          "the window has more tokens, or passes times heads, than a GPU's grid");
  if (weights.precision == DType::f16) {
    HalfWindow<Half>(queue, weights, window, arrays, memory).run();
    return;
  }
  require(queue.has_bfloat16, kOp, "this GPU has no bfloat16; use float16 or float32");
  HalfWindow<BFloat16>(queue, weights, window, arrays, memory).run();
}

}  // namespace vasa_cam
