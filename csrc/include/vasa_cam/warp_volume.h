// warp_volume: a volume of feature vectors looked up at given places, trilinearly.
//
// The same as PyTorch's grid_sample of a 5-D input, but with the channels last: they are what a
// lookup reads one after the other.
#pragma once

#include <cstdint>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// What lies outside the volume: zeros, or its nearest voxel.
enum class Padding : std::int32_t { zeros, border };

// volume: f32, f16 or bf16 [N, D, H, W, C], or [1, D, H, W, C] for all N; fewer than 2^31 voxels a
// sample, at least one, and at most 2^20 channels. grid: f32 [N, Do, Ho, Wo, 3], places as (x, y,
// z): -1 and 1 are the centres of the outermost voxels with align_corners, their outer faces
// without. out: [N, Do, Ho, Wo, C] of the volume's type; must not overlap the others. All on one
// device; `stream` is the caller's cudaStream_t, ignored on the CPU. Throws std::invalid_argument
// for a wrong shape, type or device.
void warp_volume(const TensorView& volume, const TensorView& grid, Padding padding,
                 bool align_corners, const TensorView& out, void* stream);

}  // namespace vasa_cam
