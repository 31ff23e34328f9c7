// pixel: frames from RGB or RGBA to what cameras, encoders and windows want.
//
// 4:2:0 formats are limited range (luma 16..235, chroma 16..240) after ITU-R BT.601-7 or BT.709-6;
// each chroma sample is the mean of its 2x2 pixels. Alpha is dropped by formats without it and 255
// where the source has none.
#pragma once

#include <cstdint>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

enum class PixelFormat : std::int32_t { rgb, bgr, rgba, bgra, i420, nv12 };
enum class ColourMatrix : std::int32_t { bt601, bt709 };

// source: u8 [H, W, 3 or 4]. target: u8 [H, W, 3 or 4] for the packed formats, u8 [H * 3 / 2, W]
// for i420 (planes Y, U, V one after the other) and nv12 (Y, then U and V interleaved), which need
// even H and W. Both on one device; `stream` is the caller's cudaStream_t, ignored on the CPU.
// Throws std::invalid_argument for a wrong shape, type, device or an odd size.
void pixel(const TensorView& source, const TensorView& target, PixelFormat format,
           ColourMatrix matrix, void* stream);

}  // namespace vasa_cam
