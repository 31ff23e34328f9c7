// expression: posed and shaded vertices of an avatar's mesh, from expression weights and a head
// pose.
//
// Canvas pixels, x right, y down, z away from the camera. S shapes, V coarse vertices, N dense
// ones:
//   D = sum_s weight_s * shape_s            coarse displacement and fold, [V, 4]
//   D += contacts                           lips that would pass each other push each other back
//   d = operator D                          dense displacement and fold, [N, 4]
//   y = p + rigid * (pose(p) - p)           p = rest + d
//   vertices = perspective of y, scaled to the output
//   attributes = relighting factor, fold weight
#pragma once

#include <cstdint>
#include <memory>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// Everything on the CPU; indices must be in range (the Python layer checks every one).
struct ExpressionTensors {
  TensorView shapes;            // f32 [S, V, 4] x, y, z in px and fold, per unit of weight
  TensorView operator_indptr;   // i32 [N + 1]
  TensorView operator_indices;  // i32 [nnz]
  TensorView operator_values;   // f32 [nnz]
  TensorView contact_pairs;     // i32 [P, 2] upper, lower coarse vertex
  TensorView contact_entries;   // i32 [E, 2] pair, coarse vertex
  TensorView contact_weights;   // f32 [E]
  TensorView contact_down;      // f32 [3] unit vector from the upper to the lower lip
  TensorView rest_coarse;       // f32 [V, 3] px
  TensorView rest;              // f32 [N, 3] px
  TensorView rigid;             // f32 [N]
  TensorView shade_weight;      // f32 [N] 0..1
  TensorView normal_triangles;  // i32 [F, 3]
};

struct ExpressionLight {
  float direction[3];  // unit vector to the light
  float ambient;       // (0, 1]
  float relight;       // [0, 1]
};

struct ExpressionPose {
  float rotation[9];     // row-major
  float translation[3];  // px
  float pivot[3];        // px
  float focal;           // px, > 0
  float principal[2];    // px
  float scale;           // output px per canvas px
  float offset[2];       // output px
};

struct ExpressionData;

// A prepared mesh: one aligned block with the tensors and the scratch of a frame, on the CPU or on
// a GPU. A frame allocates nothing; frames of one mesh exclude each other.
class ExpressionMesh {
 public:
  // Throws std::invalid_argument if the tensors do not fit each other.
  ExpressionMesh(const ExpressionTensors& tensors, const ExpressionLight& light, Device device,
                 int device_id);
  ~ExpressionMesh();
  ExpressionMesh(const ExpressionMesh&) = delete;
  ExpressionMesh& operator=(const ExpressionMesh&) = delete;

  // weights: f32 [S] on the CPU or on the mesh's device. vertices: f32 [N, 3] and attributes:
  // f32 [N, 2] on the mesh's device. `stream` is the caller's cudaStream_t, ignored on the CPU.
  void run(const TensorView& weights, const ExpressionPose& pose, const TensorView& vertices,
           const TensorView& attributes, void* stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vasa_cam
