// dense_motion: what lies before and after the network that says which keypoint moves a place.
//
// A volume of D x H x W voxels has the identity grid g: index i of n stands at 2 i / (n - 1) - 1.
// Keypoint k moves it by s_k - d_k, from the driving keypoints d back to the source's s; candidate
// 0 moves nothing. Candidates are looked up as by warp_volume with padding zeros and align_corners
// false, and so is the result. Since g has the corners' centres at -1 and 1, and a lookup their
// faces, even candidate 0 zooms a little: networks were trained with that.
//
// Every candidate is g and a constant. So its lookup is separable, and what a network's masks make
// of all of them is g + sum_k mask_k (s_k - d_k): no field of any candidate is ever stored.
#pragma once

#include <cstdint>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

inline constexpr std::int64_t kMostKeypoints = 31;
inline constexpr std::int64_t kCompressedChannels = 4;

// f32 [N or 1, K, 3] and [N, K, 3], as (x, y, z); K from 1 to kMostKeypoints.
struct Keypoints {
  TensorView source;
  TensorView driving;
};

// The network's input. compressed: f32, f16 or bf16 [N or 1, D, H, W, 4], D, H and W at least 2 and
// together fewer than 2^31 voxels. out: [N, D, H, W, 5 (K + 1)] of the same type: for candidate
// k = 0..K the heat exp(-50 |g - d_k|^2) - exp(-50 |g - s_k|^2), which is 0 for k = 0, and the four
// channels of `compressed` looked up at the candidate. All on one device; `stream` is the caller's
// cudaStream_t, ignored on the CPU. Throws std::invalid_argument for a wrong shape, type or device.
void dense_motion_input(const TensorView& compressed, const Keypoints& keypoints,
                        const TensorView& out, void* stream);

// The network's output applied. mask_logits: [N, D, H, W, K + 1]; volume: [N or 1, D, H, W, C];
// out: [N, D, H, W, C]; all of one type as above. deformation: f32 [N, D, H, W, 3], where the
// volume was looked up, or null if nobody asks.
void dense_motion_warp(const TensorView& mask_logits, const Keypoints& keypoints,
                       const TensorView& volume, const TensorView* deformation,
                       const TensorView& out, void* stream);

}  // namespace vasa_cam
