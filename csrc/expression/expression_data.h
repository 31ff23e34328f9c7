// The arrays of a prepared mesh, laid out alike on the CPU and on a GPU.
#pragma once

#include <cstdint>

#include "common/float4.h"
#include "common/memory_block.h"
#include "vasa_cam/expression.h"

namespace vasa_cam {

struct ExpressionSizes {
  std::int64_t shapes = 0;            // S
  std::int64_t coarse = 0;            // V
  std::int64_t dense = 0;             // N
  std::int64_t operator_entries = 0;  // nnz
  std::int64_t pairs = 0;             // P
  std::int64_t contacts = 0;          // E
  std::int64_t triangles = 0;         // F
};

struct ExpressionData {
  ExpressionSizes size;
  ExpressionLight light;
  Float4 down;  // contact direction

  Float4* shapes;                  // [S, V]
  Float4* rest_coarse;             // [V]
  float* rest;                     // [3, N] one plane after the other
  float* rigid;                    // [N]
  float* shade_gain;               // [N] shade_weight * relight
  float* inverse_before;           // [N] 1 / lambert at rest
  std::int32_t* operator_starts;   // [N + 1]
  std::int32_t* operator_indices;  // [nnz]
  float* operator_values;          // [nnz]
  std::int32_t* pairs;             // [P, 2]
  std::int32_t* contact_starts;    // [V + 1] entries of each coarse vertex
  std::int32_t* contact_pairs;     // [E] in that order
  float* contact_weights;          // [E]
  std::int32_t* triangles;         // [F, 3] wound so that normals point outward
  std::int32_t* fan_starts;        // [N + 1] triangles around each vertex
  std::int32_t* fan_triangles;     // [3 F] in that order

  // Scratch of a frame.
  float* weights;   // [S]
  Float4* coarse;   // [V] displacement and fold
  float* overlaps;  // [P]
  Float4* posed;    // [N] fourth is zero
  Float4* normals;  // [F] fourth is zero

  float* vertices;    // [N, 3] output
  float* attributes;  // [N, 2] output
};

// Pointers into `base`, or all null with only `bytes` counted.
ExpressionData lay_out(const ExpressionSizes& size, char* base, std::int64_t* bytes);

// Fills every static array but inverse_before, in CPU memory.
void fill_expression_data(const ExpressionTensors& tensors, const ExpressionLight& light,
                          ExpressionData& data);

}  // namespace vasa_cam
