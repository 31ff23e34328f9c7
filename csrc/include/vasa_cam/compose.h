// compose: layers over a background; eyes and mouth into their openings.
//
// An opening is an aperture, f32 [134]: image-left corner x, y; unit axis x, y to the image-right
// corner; length; greatest gap; 64 upper and 64 lower offsets in px, perpendicular to the axis and
// positive downwards, at equal steps along it.
#pragma once

#include <cstdint>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

inline constexpr std::int32_t kApertureKnots = 64;
inline constexpr std::int32_t kApertureSize = 6 + 2 * kApertureKnots;

// Patch px: pixels of the sclera and iris patches.
struct EyeParams {
  float patch_from_screen[6];          // 2x3, screen px to patch px
  float rest_aperture[kApertureSize];  // patch px
  float iris_centre[2];                // patch px
  float iris_radius;                   // patch px
  float eyeball_radius;                // patch px
  float gaze[2];                       // rad from rest, to the image right and up
  float shadow_strength;               // 0..1
  float shadow_reach;                  // iris radii below the upper lid
  float lid_strength;                  // 0..1
  float lash_strength;                 // 0..1
  float lash_width;                    // iris radii
  float lash_rgb[3];                   // 0..255
  float softness;                      // screen px
};

struct MouthParams {
  float cavity_rgb[3];  // 0..255
  float px_per_cm;      // screen px
  float occlusion;      // 0..1
  float fade[2];        // gap in px at which the interior begins to show, and shows fully
  float rim_strength;   // 0..1
  float rim;            // px
  float softness;       // px
};

// Layer u8 [h, w, 4] over background u8 [H, W, 3|4], its first pixel at (x, y) of it, into out
// u8 [H, W, 3|4] with at least as many channels. out may be the background.
void compose_over(const TensorView& background, const TensorView& layer, std::int32_t x,
                  std::int32_t y, const TensorView& out, void* stream);

// The opening between two chains i32 [n >= 2] of vertices f32 [N, 3]; indices must be in range.
void aperture(const TensorView& vertices, const TensorView& upper, const TensorView& lower,
              const TensorView& out, void* stream);

// frame: u8 [H, W, 3|4], in place. sclera: u8 [h, w, 3]. iris: u8 [h, w, 4]. lid: u8 [hl, wl, 3].
void compose_eye(const TensorView& frame, const TensorView& aperture, const EyeParams& params,
                 const TensorView& sclera, const TensorView& iris, const TensorView& lid,
                 void* stream);

// frame: u8 [H, W, 3|4], in place. interior: u8 [h, w, 4], its first pixel at (x, y) of the frame.
void compose_mouth(const TensorView& frame, const TensorView& aperture, const MouthParams& params,
                   const TensorView& interior, std::int32_t x, std::int32_t y, void* stream);

}  // namespace vasa_cam
