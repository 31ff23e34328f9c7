// Rasteriser of the CPU twin: triangles of a band into its planes.
#pragma once

#include <algorithm>

#include "warp_mesh/lanes.h"
#include "warp_mesh/warp_band.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

// A value at vertex a and the way to b and c.
struct Slope {
  Lanes start, to_b, to_c;
};

VASA_HD Slope slope(float a, float b, float c) { return {all(a), all(b - a), all(c - a)}; }

VASA_HD Lanes value_at(const Slope& s, Lanes w1, Lanes w2) {
  return multiply_add(w1, s.to_b, multiply_add(w2, s.to_c, s.start));
}

VASA_HD void draw_triangle(const WarpBand& band, const PackedVertex& a, const PackedVertex& b,
                           const PackedVertex& c, std::int32_t width, RowRange rows) {
  const Barycentric plane = barycentric(a, b, c);
  const PixelRange columns = pixel_range(a.x, b.x, c.x, width);
  if (!plane.usable || columns.first > columns.last) return;
  const Slope depth = slope(a.z, b.z, c.z);
  const Slope u = slope(a.u, b.u, c.u);
  const Slope v = slope(a.v, b.v, c.v);
  const Slope shade = slope(a.shade, b.shade, c.shade);
  const Slope fold = slope(a.fold, b.fold, c.fold);
  const Lanes least_weight = all(kInside);
  const Lanes most_weight = all(1.0f - kInside);
  const Lanes x1 = all(plane.x1);
  const Lanes x2 = all(plane.x2);
  for (std::int32_t y = rows.first; y <= rows.last; ++y) {
    const float dy = static_cast<float>(y) - a.y;
    const Lanes row1 = all(dy * plane.y1);
    const Lanes row2 = all(dy * plane.y2);
    const std::int64_t row = band.plane_row(y);
    for (std::int32_t x = columns.first; x <= columns.last; x += kLanes) {
      const Lanes dx = plus(counting(), all(static_cast<float>(x) - a.x));
      const Lanes w1 = multiply_add(dx, x1, row1);
      const Lanes w2 = multiply_add(dx, x2, row2);
      LaneMask mask = first_lanes(columns.last - x + 1);
      mask = at_most(mask, least_weight, w1);
      mask = at_most(mask, least_weight, w2);
      mask = at_most(mask, plus(w1, w2), most_weight);
      if (none(mask)) continue;
      const std::int64_t at = row + x;
      const Lanes z = value_at(depth, w1, w2);
      mask = below(mask, z, load(band.depth + at));
      store(band.depth + at, mask, z);
      store(band.u + at, mask, value_at(u, w1, w2));
      store(band.v + at, mask, value_at(v, w1, w2));
      store(band.shade + at, mask, value_at(shade, w1, w2));
      store(band.fold + at, mask, value_at(fold, w1, w2));
    }
  }
}

inline void draw_triangles(const WarpFrame& f, const WarpBand& band, const std::int32_t* triangles,
                           std::int64_t count, RowRange rows, const RowRange* touched) {
  const std::int64_t start = band.plane_row(rows.first) - kRowSlack;
  const std::int64_t length = (rows.last - rows.first + 1) * band.stride;
  std::fill_n(band.depth + start, length, 3e38f);
  std::fill_n(band.u + start, length, kUncovered);
  std::fill_n(band.v + start, length, kUncovered);
  for (std::int64_t index = 0; index < count; ++index) {
    const std::int32_t triangle = triangles[index];
    const std::int32_t* corners = f.mesh.indices + 3 * static_cast<std::int64_t>(triangle);
    const RowRange range{std::max(touched[triangle].first, rows.first),
                         std::min(touched[triangle].last, rows.last)};
    draw_triangle(band, f.packed[corners[0]], f.packed[corners[1]], f.packed[corners[2]], f.width,
                  range);
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
