// CPU twin: the stages of a step. Each takes a range of its panels, rows or heads, so that threads
// share it; every number is computed in the same order whatever the ranges.
#include <algorithm>
#include <limits>

#include "sampler/panel_product.h"
#include "sampler/token_rows.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

HeadTokens head_tokens(const SamplerCall& call, std::int64_t layer, std::int64_t item) {
  const std::int64_t head_width = call.weights->size.head_width();
  const std::int64_t tokens = call.window.tokens();
  const std::int64_t queries = tokens * padded(head_width);
  const std::int64_t keys = padded(tokens) * head_width;
  float* base = layer == 0 ? call.scratch.first_heads : call.scratch.heads;
  base += item * (2 * queries + keys);
  return {base, base + queries, base + queries + keys};
}

// q, k and v of one head in one pass, for the layer's fresh tokens.
void project_head(const SamplerCall& call, const LayerCall& layer, std::int64_t head,
                  std::int64_t pass, const HeadTokens& to) {
  const SamplerSizes& size = call.weights->size;
  const Affine& qkv = call.layers[layer.layer].qkv;
  const std::int64_t tokens = call.window.tokens();
  const std::int64_t stride = row_stride(size.width);
  const std::int64_t head_width = size.head_width();
  const std::int64_t panels = panels_of(head_width);
  const float* weights = qkv.weight + head * 3 * panels * kPanel * qkv.inputs;
  const float* bias = qkv.bias + head * 3 * panels * kPanel;
  const std::int64_t fresh = layer.fresh.count;
  // With norms after the sums every token is fresh, and its row is the product's input as it is.
  const float* input = size.form.norm_after ? layer_input(call, layer.layer) : call.scratch.normed;
  input += pass * fresh * stride;

  const std::int64_t asking = std::min(fresh, layer.wanted.count);
  const RowBlock query_rows{input + (fresh - asking) * stride, stride, asking};
  multiply(query_rows, qkv.inputs, weights, bias, 0, panels,
           [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
             float* first = to.queries + (tokens - asking + row) * panels * kPanel + panel * kPanel;
             for (std::int64_t r = 0; r < rows; ++r) {
               std::copy_n(tile + r * kPanel, kPanel, first + r * panels * kPanel);
             }
           });
  const RowBlock all_rows{input, stride, fresh};
  multiply(all_rows, qkv.inputs, weights, bias, panels, 3 * panels,
           [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
             const std::int64_t token = tokens - fresh + row;
             if (panel >= 2 * panels) {
               float* first = to.values + ((panel - 2 * panels) * tokens + token) * kPanel;
               std::copy_n(tile, rows * kPanel, first);
               return;
             }
             const std::int64_t first = (panel - panels) * kPanel;
             const std::int64_t count = std::min(kPanel, head_width - first);
             for (std::int64_t r = 0; r < rows; ++r) {
               const std::int64_t key = token + r;
               float* column =
                   to.keys + (key / kPanel * head_width + first) * kPanel + key % kPanel;
               for (std::int64_t c = 0; c < count; ++c) column[c * kPanel] = tile[r * kPanel + c];
             }
           });
}

// Scores of one query become powers of two; returns the reciprocal of their sum.
float soften(float* scores, std::int64_t count) {
  const std::int64_t whole = (count + kLanes - 1) / kLanes * kLanes;
  std::fill(scores + count, scores + whole, -std::numeric_limits<float>::infinity());
  Vector most = load(scores);
  for (std::int64_t at = kLanes; at < whole; at += kLanes) most = larger(most, load(scores + at));
  const Vector largest = all(largest_of(most));
  Vector sums = all(0.0f);
  for (std::int64_t at = 0; at < whole; at += kLanes) {
    const Vector power = powers_of_two(minus(load(scores + at), largest));
    sums = plus(sums, power);
    store(scores + at, power);
  }
  return 1.0f / sum_of(sums);
}

// Attention of the wanted tokens of one head in one pass.
void attend(const SamplerCall& call, const LayerCall& layer, std::int64_t head, std::int64_t pass,
            const HeadTokens& from, float* scores) {
  const SamplerSizes& size = call.weights->size;
  const std::int64_t tokens = call.window.tokens();
  const std::int64_t head_width = size.head_width();
  const std::int64_t panels = panels_of(head_width);
  const std::int64_t stride = row_stride(size.width);
  const std::int64_t score_stride = padded(tokens);
  const std::int64_t wanted = layer.wanted.count;
  const float* queries = from.queries + (tokens - wanted) * panels * kPanel;
  float* out = call.scratch.attended + pass * wanted * stride + head * head_width;
  for_row_blocks(wanted, [&](std::int64_t row, std::int64_t rows) {
    const RowBlock asking{queries + row * panels * kPanel, panels * kPanel, rows};
    for (std::int64_t panel = 0; panel < panels_of(tokens); ++panel) {
      product_rows(asking, head_width, from.keys + panel * head_width * kPanel, kZeros,
                   scores + panel * kPanel, score_stride);
    }
    float inverse[kRows];
    for (std::int64_t r = 0; r < rows; ++r) inverse[r] = soften(scores + r * score_stride, tokens);
    multiply({scores, score_stride, rows}, tokens, from.values, nullptr, 0, panels,
             [&](std::int64_t panel, std::int64_t, std::int64_t, const float* tile) {
               const std::int64_t count = std::min(kPanel, head_width - panel * kPanel);
               for (std::int64_t r = 0; r < rows; ++r) {
                 float* target = out + (row + r) * stride + panel * kPanel;
                 for (std::int64_t c = 0; c < count; ++c) {
                   target[c] = tile[r * kPanel + c] * inverse[r];
                 }
               }
             });
  });
}

// residual[row] = input[row] + product, for the rows that the layer's successors need.
void add_product(const SamplerCall& call, const TokenRows& map, const Affine& affine,
                 const RowBlock& a, const float* input, std::int64_t begin, std::int64_t end) {
  const std::int64_t stride = row_stride(call.weights->size.width);
  multiply(a, affine.inputs, affine.weight, affine.bias, begin, end,
           [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
             RowWalk walk(map, row);
             for (std::int64_t r = 0; r < rows; ++r, walk.advance()) {
               const std::int64_t at = walk.row() * stride + panel * kPanel;
               for (std::int64_t c = 0; c < kPanel; c += kLanes) {
                 store(call.scratch.residual + at + c,
                       plus(load(input + at + c), load(tile + r * kPanel + c)));
               }
             }
           });
}

}  // namespace

// normed[begin, end) from those of the layer's input rows that have changed.
void norm_inputs(const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                 std::int64_t end) {
  const std::int64_t stride = row_stride(call.weights->size.width);
  const float* input = layer_input(call, layer.layer);
  RowWalk walk(layer.fresh, begin);
  for (std::int64_t row = begin; row < end; ++row, walk.advance()) {
    norm_row(input + walk.row() * stride, call.weights->size.width, 1.0f,
             call.scratch.normed + row * stride);
  }
}

// normed[begin, end) from the rows after attention.
void norm_attended(const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                   std::int64_t end) {
  const std::int64_t stride = row_stride(call.weights->size.width);
  RowWalk walk(layer.wanted, begin);
  for (std::int64_t row = begin; row < end; ++row, walk.advance()) {
    norm_row(call.scratch.residual + walk.row() * stride, call.weights->size.width, 1.0f,
             call.scratch.normed + row * stride);
  }
}

// The wanted rows after attention: norm1, and with memory cross-attention and its norm.
void settle_attended(const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                     std::int64_t end) {
  const std::int64_t width = call.weights->size.width;
  const std::int64_t stride = row_stride(width);
  const SamplerLayer& weights = call.layers[layer.layer];
  const float* crossed = call.scratch.crossed + layer.layer * call.window.rows() * stride;
  RowWalk walk(layer.wanted, begin);
  for (std::int64_t row = begin; row < end; ++row, walk.advance()) {
    float* token = call.scratch.residual + walk.row() * stride;
    settle_row(token, width, weights.norm1, token);
    if (call.weights->size.form.memory) {
      const float* added = crossed + walk.row() * stride;
      for (std::int64_t at = 0; at < width; at += kLanes) {
        store(token + at, plus(load(token + at), load(added + at)));
      }
      settle_row(token, width, weights.cross_norm, token);
    }
    std::copy_n(token, stride, call.scratch.normed + row * stride);
  }
}

// The wanted rows after the feed-forward products.
void settle_fed(const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                std::int64_t end) {
  const std::int64_t width = call.weights->size.width;
  RowWalk walk(layer.wanted, begin);
  for (std::int64_t row = begin; row < end; ++row, walk.advance()) {
    float* token = call.scratch.residual + walk.row() * row_stride(width);
    settle_row(token, width, call.layers[layer.layer].norm2, token);
  }
}

// Attention of the items [begin, end): item = head * passes + pass, so that the passes of one head
// find its weights in the cache.
void attend_heads(const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                  std::int64_t end) {
  for (std::int64_t item = begin; item < end; ++item) {
    const std::int64_t head = item / call.window.passes;
    const std::int64_t pass = item % call.window.passes;
    const HeadTokens tokens = head_tokens(call, layer.layer, item);
    float* scores = call.scratch.scores + item * kScoreRows * padded(call.window.tokens());
    project_head(call, layer, head, pass, tokens);
    attend(call, layer, head, pass, tokens, scores);
  }
}

void project_attended(const SamplerCall& call, const LayerCall& layer, std::int64_t begin,
                      std::int64_t end) {
  const SamplerLayer& weights = call.layers[layer.layer];
  const RowBlock rows{call.scratch.attended, row_stride(weights.out.inputs),
                      call.window.passes * layer.wanted.count};
  add_product(call, layer.wanted, weights.out, rows, layer_input(call, layer.layer), begin, end);
}

void widen(const SamplerCall& call, const LayerCall& layer, std::int64_t begin, std::int64_t end) {
  const Affine& up = call.layers[layer.layer].up;
  const std::int64_t stride = row_stride(up.outputs);
  const RowBlock a{call.scratch.normed, row_stride(up.inputs),
                   call.window.passes * layer.wanted.count};
  multiply(a, up.inputs, up.weight, up.bias, begin, end,
           [&](std::int64_t panel, std::int64_t row, std::int64_t rows, const float* tile) {
             float* target = call.scratch.hidden + row * stride + panel * kPanel;
             for (std::int64_t r = 0; r < rows; ++r) {
               activate(call.weights->size.form.activation, tile + r * kPanel, target + r * stride);
             }
           });
}

void narrow(const SamplerCall& call, const LayerCall& layer, std::int64_t begin, std::int64_t end) {
  const Affine& down = call.layers[layer.layer].down;
  const RowBlock a{call.scratch.hidden, row_stride(down.inputs),
                   call.window.passes * layer.wanted.count};
  add_product(call, layer.wanted, down, a, call.scratch.residual, begin, end);
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
