// CPU twin: rows of four floats where vertices are gathered, plain loops that the compiler turns
// into vectors where they are independent.
#include <algorithm>

#include "expression/expression_math.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

namespace {

// Vertices that are worked on together: their intermediate numbers stay in the first-level cache.
constexpr std::int64_t kBlock = 256;

// The numbers of a block of vertices, one plane for each.
struct Planes {
  float x[kBlock];
  float y[kBlock];
  float z[kBlock];
  float w[kBlock];
};

void store_row(Planes& planes, std::int64_t at, Float4 row) {
  planes.x[at] = x_of(row);
  planes.y[at] = y_of(row);
  planes.z[at] = z_of(row);
  planes.w[at] = w_of(row);
}

void pose_block(const ExpressionData& m, const ExpressionPose& pose, std::int64_t first,
                std::int64_t count) {
  Planes moved;
  for (std::int64_t i = 0; i < count; ++i) store_row(moved, i, dense_displacement(m, first + i));
  const float* VASA_RESTRICT rest_x = m.rest + first;
  const float* VASA_RESTRICT rest_y = rest_x + m.size.dense;
  const float* VASA_RESTRICT rest_z = rest_y + m.size.dense;
  const float* VASA_RESTRICT rigid = m.rigid + first;
  float* VASA_RESTRICT vertices = m.vertices + 3 * first;
  float* VASA_RESTRICT attributes = m.attributes + 2 * first;
  float* VASA_RESTRICT posed = reinterpret_cast<float*>(m.posed + first);
  for (std::int64_t i = 0; i < count; ++i) {
    const PosedVertex vertex = pose_vertex(pose, rest_x[i] + moved.x[i], rest_y[i] + moved.y[i],
                                           rest_z[i] + moved.z[i], rigid[i]);
    posed[4 * i] = vertex.x;
    posed[4 * i + 1] = vertex.y;
    posed[4 * i + 2] = vertex.z;
    posed[4 * i + 3] = 0.0f;
    vertices[3 * i] = vertex.screen_x;
    vertices[3 * i + 1] = vertex.screen_y;
    vertices[3 * i + 2] = vertex.z * pose.scale;
    attributes[2 * i + 1] = fold_weight(moved.w[i]);
  }
}

void shade_block(const ExpressionData& m, std::int64_t first, std::int64_t count) {
  Planes normal;
  for (std::int64_t i = 0; i < count; ++i) store_row(normal, i, vertex_normal(m, first + i));
  const float* VASA_RESTRICT inverse_before = m.inverse_before + first;
  const float* VASA_RESTRICT gain = m.shade_gain + first;
  float* VASA_RESTRICT attributes = m.attributes + 2 * first;
  const ExpressionLight light = m.light;
  for (std::int64_t i = 0; i < count; ++i) {
    const float after = lambert(light, normal.x[i], normal.y[i], normal.z[i]);
    attributes[2 * i] = shade_factor(after * inverse_before[i], gain[i]);
  }
}

}  // namespace

// Small (V about 468), so one thread does it.
void displace_coarse(const ExpressionData& m) {
  Float4* VASA_RESTRICT coarse = m.coarse;
  std::fill(coarse, coarse + m.size.coarse, splat(0.0f));
  for (std::int64_t shape = 0; shape < m.size.shapes; ++shape) {
    const float weight = m.weights[shape];
    // Most of the 52 coefficients are zero in most frames.
    if (weight == 0.0f) continue;
    const Float4* VASA_RESTRICT rows = m.shapes + shape * m.size.coarse;
    for (std::int64_t vertex = 0; vertex < m.size.coarse; ++vertex) {
      coarse[vertex] = coarse[vertex] + splat(weight) * rows[vertex];
    }
  }
  for (std::int64_t pair = 0; pair < m.size.pairs; ++pair) {
    m.overlaps[pair] = contact_overlap(m, pair);
  }
  if (m.size.contacts == 0) return;
  for (std::int64_t vertex = 0; vertex < m.size.coarse; ++vertex) apply_contacts(m, vertex);
}

void pose_dense(const ExpressionData& m, const ExpressionPose& pose, std::int64_t begin,
                std::int64_t end) {
  for (std::int64_t first = begin; first < end; first += kBlock) {
    pose_block(m, pose, first, std::min(kBlock, end - first));
  }
}

void compute_normals(const ExpressionData& m, std::int64_t begin, std::int64_t end) {
  for (std::int64_t face = begin; face < end; ++face) m.normals[face] = triangle_normal(m, face);
}

void shade_dense(const ExpressionData& m, std::int64_t begin, std::int64_t end) {
  for (std::int64_t first = begin; first < end; first += kBlock) {
    shade_block(m, first, std::min(kBlock, end - first));
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
