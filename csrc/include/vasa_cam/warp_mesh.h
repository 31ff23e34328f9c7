// warp_mesh: a textured triangle mesh drawn into a straight-alpha RGBA frame.
//
// Pixel centres lie at whole coordinates. The nearest triangle (smallest interpolated z) gives
// every pixel its texture coordinate, shade and wrinkle weight; the texture is looked up by
// Catmull-Rom bicubic interpolation; pixels where the texture coordinate jumps are antialiased.
#pragma once

#include <cstdint>
#include <memory>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// Everything on the CPU; indices must be in range (the Python layer checks every one).
struct WarpTensors {
  TensorView uv;         // f32 [N, 2] texture px, |uv| <= 1e5
  TensorView triangles;  // i32 [T, 3]
  TensorView texture;    // u8 [Ht, Wt, 4] straight alpha, not empty
  TensorView detail;     // i8 [Ht, Wt] wrinkle map, or [0, 0] for none
};

struct WarpOptions {
  float detail_gain;      // colour *= 1 + detail_gain * fold * detail / 127
  float edge_jump;        // texture px between neighbours that make an edge
  std::int32_t origin_x;  // screen px of out[0, 0]
  std::int32_t origin_y;
};

// A prepared mesh on the CPU or on a GPU, with the scratch of a frame. Frames of one mesh exclude
// each other. A frame allocates only when it is larger than any before.
class WarpMesh {
 public:
  // Throws std::invalid_argument if the tensors do not fit each other.
  WarpMesh(const WarpTensors& tensors, Device device, int device_id);
  ~WarpMesh();
  WarpMesh(const WarpMesh&) = delete;
  WarpMesh& operator=(const WarpMesh&) = delete;

  // vertices: f32 [N, 3] screen x, y and depth. attributes: f32 [N, 2] shade, wrinkle weight.
  // out: u8 [H, W, 4]. All on the mesh's device. `stream` is the caller's cudaStream_t, ignored on
  // the CPU.
  void run(const TensorView& vertices, const TensorView& attributes, const WarpOptions& options,
           const TensorView& out, void* stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vasa_cam
