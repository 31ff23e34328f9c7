// spade: what lies around the convolutions of a SPADE decoder. Everything is channels last; data is
// f32, f16 or bf16 (one type in one call), statistics and biases are f32.
//
// instance_statistics and spade_modulate are instance normalisation modulated by maps:
//   y = leaky((x - mean) * rstd * (1 + gamma) + beta),  rstd = 1 / sqrt(variance + 1e-5)
//
// phase_expand puts together a 3x3 convolution of a map that was enlarged by repeating its pixels
// f = 2 or 4 times. Such a convolution sees few different sums: along an axis the f pixels made of
// map pixel i fall into the first, which sees i - 1 and i, the last, which sees i and i + 1, and
// those between, which see i alone. So it is done on the small map, by kernels folded for each
// class (vasa_cam.ops.phase_weights): 2x2 around the map's corners for first and last along both
// axes, 2x1 and 1x2 around its edges, 1x1 inside. The zero border of both maps is the same.
#pragma once

#include <cstdint>
#include <vector>

#include "vasa_cam/pixel.h"
#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// Rows of the workspace of instance_statistics for so many pixels.
std::int64_t statistics_parts(std::int64_t pixels);

// x: [N, H, W, C]. workspace: f32 [N, statistics_parts(H * W), 2, C]. out: f32 [N, 2, C], mean and
// rstd of the biased variance. Enlarging a map by repetition changes neither: take the small one.
void instance_statistics(const TensorView& x, const TensorView& workspace, const TensorView& out,
                         void* stream);

struct SpadeTensors {
  TensorView x;           // [N, h, w, C]
  TensorView statistics;  // f32 [N, 2, C]
  TensorView gamma_beta;  // [N, f h, f w, 2 C]: gamma, then beta; f is 1 or 2
  TensorView bias;        // f32 [2 C] added to gamma_beta, or rank 0 for none
};

// out: [N, f h, f w, C]; x is enlarged by repetition. 0 < slope <= 1; 1 leaves negatives alone.
void spade_modulate(const SpadeTensors& tensors, float slope, const TensorView& out, void* stream);

// parts: of factor 1, [N, h, w, C]; of factor 2, the corners [N, h + 1, w + 1, 4 C]; of factor 4
// also [N, h + 1, w, 2 C], [N, h, w + 1, 2 C] and the insides [N, h, w, C]. Of the 4 C (2 C)
// numbers of a corner (edge) the first C belong to the pixel above and left of it (above, or left),
// then come those right, below, below and right. bias: f32 [C]. out: [N, f h, f w, C], or [G, N, f
// h, f w, C / G] with the channels in G arrays one after the other.
void phase_expand(const std::vector<TensorView>& parts, const TensorView& bias, std::int32_t factor,
                  bool relu, const TensorView& out, void* stream);

// x: [N, H, W, 12 or more], channel c * 4 + dy * 2 + dx; those after the twelfth are not read. out:
// u8 [N, 2 H, 2 W, 3] for rgb or [N, 3 H, 2 W] for i420 (as the op pixel makes it): pixel shuffle,
// sigmoid, times 255, truncated. NaN gives 0.
void decoder_tail(const TensorView& x, const TensorView& out, PixelFormat format,
                  ColourMatrix matrix, void* stream);

}  // namespace vasa_cam
