// The arithmetic of one coarse vertex, one dense vertex, one triangle: shared by both twins.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/float4.h"
#include "expression/expression_data.h"
#include "vasa_cam/host_device.h"

namespace vasa_cam {

// Perspective stops growing at a tenth of the camera's distance, so that it stays finite.
constexpr float kNearestDepth = 0.1f;
constexpr float kShadeRatioMin = 0.72f;
constexpr float kShadeRatioMax = 1.14f;
constexpr float kFoldMax = 1.5f;
constexpr float kTinyLength = 1e-12f;

// How far the lips of a pair have passed each other, px.
VASA_HD float contact_overlap(const ExpressionData& m, std::int64_t pair) {
  const std::int32_t upper = m.pairs[2 * pair];
  const std::int32_t lower = m.pairs[2 * pair + 1];
  const Float4 upper_now = m.rest_coarse[upper] + m.coarse[upper];
  const Float4 lower_now = m.rest_coarse[lower] + m.coarse[lower];
  const float overlap = dot3(upper_now - lower_now, m.down);
  return overlap > 0.0f ? overlap : 0.0f;
}

VASA_HD void apply_contacts(const ExpressionData& m, std::int64_t vertex) {
  float push = 0.0f;
  for (std::int32_t slot = m.contact_starts[vertex]; slot < m.contact_starts[vertex + 1]; ++slot) {
    push += m.contact_weights[slot] * m.overlaps[m.contact_pairs[slot]];
  }
  m.coarse[vertex] = m.coarse[vertex] + splat(push) * m.down;
}

// Displacement and fold of a dense vertex.
VASA_HD Float4 dense_displacement(const ExpressionData& m, std::int64_t vertex) {
  Float4 sum = splat(0.0f);
  for (std::int32_t at = m.operator_starts[vertex]; at < m.operator_starts[vertex + 1]; ++at) {
    sum = sum + splat(m.operator_values[at]) * m.coarse[m.operator_indices[at]];
  }
  return sum;
}

VASA_HD float larger(float a, float b) { return a > b ? a : b; }
VASA_HD float smaller(float a, float b) { return a < b ? a : b; }

struct PosedVertex {
  float x, y, z;             // canvas px
  float screen_x, screen_y;  // output px
};

// (px, py, pz): the vertex with its expression, before the pose. The perspective is the identity
// when the pose moves nothing, whatever the depth, because the photo holds its own perspective.
VASA_HD PosedVertex pose_vertex(const ExpressionPose& pose, float px, float py, float pz,
                                float rigid) {
  const float* r = pose.rotation;
  const float qx = px - pose.pivot[0];
  const float qy = py - pose.pivot[1];
  const float qz = pz - pose.pivot[2];
  const float moved_x = r[0] * qx + r[1] * qy + r[2] * qz - qx + pose.translation[0];
  const float moved_y = r[3] * qx + r[4] * qy + r[5] * qz - qy + pose.translation[1];
  const float moved_z = r[6] * qx + r[7] * qy + r[8] * qz - qz + pose.translation[2];
  PosedVertex result;
  result.x = px + rigid * moved_x;
  result.y = py + rigid * moved_y;
  result.z = pz + rigid * moved_z;
  const float nearest = kNearestDepth * pose.focal;
  const float before = larger(pose.focal + qz, nearest);
  const float after = larger(pose.focal + (result.z - pose.pivot[2]), nearest);
  const float magnification = before / after;
  const float from_centre_x = (result.x - pose.principal[0]) * magnification;
  const float from_centre_y = (result.y - pose.principal[1]) * magnification;
  result.screen_x = (from_centre_x + pose.principal[0]) * pose.scale + pose.offset[0];
  result.screen_y = (from_centre_y + pose.principal[1]) * pose.scale + pose.offset[1];
  return result;
}

VASA_HD float fold_weight(float fold) { return smaller(larger(fold, 0.0f), kFoldMax); }

// Length is twice the area, so that sums weigh by area.
VASA_HD Float4 triangle_normal(const ExpressionData& m, std::int64_t face) {
  const std::int32_t* corner = m.triangles + 3 * face;
  const Float4 a = m.posed[corner[0]];
  return cross(m.posed[corner[1]] - a, m.posed[corner[2]] - a);
}

VASA_HD Float4 vertex_normal(const ExpressionData& m, std::int64_t vertex) {
  Float4 sum = splat(0.0f);
  for (std::int32_t at = m.fan_starts[vertex]; at < m.fan_starts[vertex + 1]; ++at) {
    sum = sum + m.normals[m.fan_triangles[at]];
  }
  return sum;
}

// Light that arrives at a surface, ambient .. 1. (nx, ny, nz): normal of any length.
VASA_HD float lambert(const ExpressionLight& light, float nx, float ny, float nz) {
  const float length = std::sqrt(nx * nx + ny * ny + nz * nz);
  const float along = nx * light.direction[0] + ny * light.direction[1] + nz * light.direction[2];
  const float cosine = larger(along / larger(length, kTinyLength), 0.0f);
  return light.ambient + (1.0f - light.ambient) * cosine;
}

// Factor for an sRGB value. (1 + gain (ratio - 1))^(1 / 2.2), whose base is always within
// [0.72, 1.14]: there nine terms of the binomial series are exact to f32, and 1 gives exactly 1.
VASA_HD float shade_factor(float ratio, float gain) {
  const float clamped = smaller(larger(ratio, kShadeRatioMin), kShadeRatioMax);
  const float t = gain * (clamped - 1.0f);
  constexpr double exponent = 1.0 / 2.2;
  constexpr double c1 = exponent;
  constexpr double c2 = c1 * (exponent - 1.0) / 2.0;
  constexpr double c3 = c2 * (exponent - 2.0) / 3.0;
  constexpr double c4 = c3 * (exponent - 3.0) / 4.0;
  constexpr double c5 = c4 * (exponent - 4.0) / 5.0;
  constexpr double c6 = c5 * (exponent - 5.0) / 6.0;
  constexpr double c7 = c6 * (exponent - 6.0) / 7.0;
  constexpr double c8 = c7 * (exponent - 7.0) / 8.0;
  constexpr double c9 = c8 * (exponent - 8.0) / 9.0;
  float sum = static_cast<float>(c9);
  sum = sum * t + static_cast<float>(c8);
  sum = sum * t + static_cast<float>(c7);
  sum = sum * t + static_cast<float>(c6);
  sum = sum * t + static_cast<float>(c5);
  sum = sum * t + static_cast<float>(c4);
  sum = sum * t + static_cast<float>(c3);
  sum = sum * t + static_cast<float>(c2);
  sum = sum * t + static_cast<float>(c1);
  return 1.0f + sum * t;
}

}  // namespace vasa_cam
