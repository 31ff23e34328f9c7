// CPU twin: rasterise a band of rows into planes, look the texture up row by row, smooth the edges.
#include <algorithm>
#include <cstring>

#include "warp_mesh/lanes.h"
#include "warp_mesh/texel_lookup.h"
#include "warp_mesh/warp_band.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

namespace {

// Pixels of a row that are judged together: all empty, all copied, or each looked up.
constexpr std::int32_t kBlock = 16;

// Values of vertex a and the way to b and c.
struct Slope {
  Lanes start, to_b, to_c;
};

VASA_HD Slope slope(float a, float b, float c) { return {all(a), all(b - a), all(c - a)}; }

VASA_HD Lanes value_at(const Slope& s, Lanes w1, Lanes w2) {
  return multiply_add(w1, s.to_b, multiply_add(w2, s.to_c, s.start));
}

void draw_triangle(const WarpBand& band, const PackedVertex& a, const PackedVertex& b,
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

void draw_triangles(const WarpFrame& f, const WarpBand& band, const std::int32_t* triangles,
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

// jump[x] = 1 where the texture coordinate differs from the left or upper neighbour's.
void mark_jumps(const WarpFrame& f, const WarpBand& band, std::int32_t y) {
  const float* VASA_RESTRICT u = band.u + band.plane_row(y);
  const float* VASA_RESTRICT v = band.v + band.plane_row(y);
  const std::int64_t up = y > 0 ? -band.stride : 0;
  const float limit = f.options.edge_jump;
  std::uint8_t* VASA_RESTRICT jump = band.jump + band.row(y);
  jump[-1] = jump[f.width] = 0;
  for (std::int32_t x = 0; x < f.width; ++x) {
    const bool edge = jumps(u[x], u[x - 1], limit) | jumps(v[x], v[x - 1], limit) |
                      jumps(u[x], u[x + up], limit) | jumps(v[x], v[x + up], limit);
    jump[x] = edge ? 1 : 0;
  }
  jump[0] = jumps(u[0], u[up], limit) | jumps(v[0], v[up], limit) ? 1 : 0;
}

// smooth[x] = 1 where one of the nine pixels around (x, y) is a jump; whether there is any.
bool mark_smooth(const WarpFrame& f, const WarpBand& band, std::int32_t y) {
  const std::uint8_t* VASA_RESTRICT here = band.jump + band.row(y);
  const std::uint8_t* VASA_RESTRICT above = y > 0 ? here - band.stride : here;
  const std::uint8_t* VASA_RESTRICT below_it = y + 1 < f.height ? here + band.stride : here;
  std::uint8_t* VASA_RESTRICT smooth = band.smooth;
  std::uint8_t found = 0;
  for (std::int32_t x = 0; x < f.width; ++x) {
    const auto near =
        static_cast<std::uint8_t>(here[x - 1] | here[x] | here[x + 1] | above[x - 1] | above[x] |
                                  above[x + 1] | below_it[x - 1] | below_it[x] | below_it[x + 1]);
    smooth[x] = near;
    found = static_cast<std::uint8_t>(found | near);
  }
  return found != 0;
}

// Whether the block is covered by texels that are shown as they are, one for each pixel.
VASA_HD bool is_copy(const WarpBand& band, const float* shade, const float* fold, std::int32_t x) {
  const std::int32_t across = band.across[x];
  const std::int32_t down = band.down[x];
  std::int32_t moved = (across | down) & (kSteps - 1);
  std::int32_t changed = 0;
  for (std::int32_t i = 0; i < kBlock; ++i) {
    moved |= (band.across[x + i] - across - i * kSteps) | (band.down[x + i] - down);
    changed |= !(magnitude(shade[x + i] - 1.0f) < kSameShade) | (fold[x + i] != 0.0f);
  }
  return (moved | changed) == 0;
}

VASA_HD std::uint32_t look_up(const WarpFrame& f, const WarpBand& band, std::int64_t plane,
                              std::int32_t x) {
  const WarpData& m = f.mesh;
  const std::int32_t across = band.across[x];
  const std::int32_t down = band.down[x];
  const std::int64_t cell = (down / kSteps) * m.stride + across / kSteps;
  if (m.visible[cell] == 0) return 0;
  const float light =
      light_of(m, f.options.detail_gain, band.shade[plane + x], band.fold[plane + x], across, down);
  return sample_texels(m.texture + 4 * (cell - m.stride - 1), 4 * m.stride,
                       m.across + 16 * (across % kSteps), m.down + 4 * (down % kSteps), light);
}

// Colours of row y; only where `wanted` is set, unless it is null.
void shade_row(const WarpFrame& f, const WarpBand& band, std::int32_t y,
               const std::uint8_t* wanted) {
  const std::int64_t plane = band.plane_row(y);
  const float* VASA_RESTRICT u = band.u + plane;
  const float* VASA_RESTRICT v = band.v + plane;
  std::int32_t* VASA_RESTRICT across = band.across;
  std::int32_t* VASA_RESTRICT down = band.down;
  std::uint32_t* VASA_RESTRICT colour = band.colour + band.row(y);
  for (std::int32_t x = 0; x < f.width; ++x) across[x] = texture_steps(u[x], f.mesh.width);
  for (std::int32_t x = 0; x < f.width; ++x) down[x] = texture_steps(v[x], f.mesh.height);
  for (std::int32_t x = 0; x < f.width; x += kBlock) {
    const std::int32_t end = std::min(x + kBlock, f.width);
    std::int32_t covered = 0;
    for (std::int32_t i = x; i < end; ++i) covered += u[i] > 0.5f * kUncovered ? 1 : 0;
    if (covered == 0) {
      std::fill(colour + x, colour + end, 0u);
      continue;
    }
    if (covered == kBlock && is_copy(band, band.shade + plane, band.fold + plane, x)) {
      const std::int64_t cell = (down[x] / kSteps) * f.mesh.stride + across[x] / kSteps;
      const std::uint8_t* texels = f.mesh.texture + 4 * cell;
      for (std::int32_t i = 0; i < kBlock; ++i) {
        std::uint32_t texel = 0;
        std::memcpy(&texel, texels + 4 * i, 4);
        colour[x + i] = texels[4 * i + 3] != 0 ? texel : 0u;
      }
      continue;
    }
    for (std::int32_t i = x; i < end; ++i) {
      if (wanted != nullptr && wanted[i] == 0) continue;
      colour[i] = u[i] > 0.5f * kUncovered ? look_up(f, band, plane, i) : 0u;
    }
  }
}

// Colours of a neighbour's row, where antialiasing of row `edge` of this band looks at them.
void shade_neighbour(const WarpFrame& f, const WarpBand& band, std::int32_t y, std::int32_t edge) {
  if (y < 0 || y >= f.height || !mark_smooth(f, band, edge)) return;
  const std::uint8_t* smooth = band.smooth;
  band.smooth[-1] = band.smooth[f.width] = 0;
  for (std::int32_t x = 0; x < f.width; ++x) {
    band.wanted[x] = static_cast<std::uint8_t>(smooth[x - 1] | smooth[x] | smooth[x + 1]);
  }
  shade_row(f, band, y, band.wanted);
}

void smooth_row(const WarpFrame& f, const WarpBand& band, std::int32_t y) {
  const std::uint32_t* here = band.colour + band.row(y);
  std::uint8_t* out = f.out + 4 * static_cast<std::int64_t>(y) * f.width;
  std::memcpy(out, here, 4 * static_cast<std::size_t>(f.width));
  if (!mark_smooth(f, band, y)) return;
  const std::uint32_t* lines[3] = {y > 0 ? here - band.stride : here, here,
                                   y + 1 < f.height ? here + band.stride : here};
  for (std::int32_t x = 0; x < f.width; ++x) {
    if (band.smooth[x] == 0) continue;
    const std::int32_t columns[3] = {std::max(x - 1, 0), x, std::min(x + 1, f.width - 1)};
    const std::uint8_t* around[3][3];
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 3; ++i) {
        around[j][i] = reinterpret_cast<const std::uint8_t*>(lines[j] + columns[i]);
      }
    }
    smooth_pixel(around, out + 4 * x);
  }
}

}  // namespace

void pack_vertices(const WarpFrame& f, std::int64_t begin, std::int64_t end) {
  for (std::int64_t index = begin; index < end; ++index) f.packed[index] = pack_vertex(f, index);
}

// Rows that triangles begin..end touch.
void find_rows(const WarpFrame& f, RowRange* touched, std::int64_t begin, std::int64_t end) {
  for (std::int64_t triangle = begin; triangle < end; ++triangle) {
    const std::int32_t* corners = f.mesh.indices + 3 * triangle;
    const PackedVertex& a = f.packed[corners[0]];
    const PackedVertex& b = f.packed[corners[1]];
    const PackedVertex& c = f.packed[corners[2]];
    const bool usable = a.unusable + b.unusable + c.unusable == 0.0f;
    touched[triangle] = usable ? pixel_range(a.y, b.y, c.y, f.height) : RowRange{0, -1};
  }
}

void draw_band(const WarpFrame& f, const WarpBand& band, const std::int32_t* triangles,
               std::int64_t count, const RowRange* touched) {
  const RowRange rows{std::max(band.first - kRowsAbove, 0),
                      std::min(band.end + kRowsBelow, f.height) - 1};
  draw_triangles(f, band, triangles, count, rows, touched);
  for (std::int32_t y = std::max(band.first - 1, 0); y <= std::min(band.end, f.height - 1); ++y) {
    mark_jumps(f, band, y);
  }
  for (std::int32_t y = band.first; y < band.end; ++y) shade_row(f, band, y, nullptr);
  shade_neighbour(f, band, band.first - 1, band.first);
  shade_neighbour(f, band, band.end, band.end - 1);
  for (std::int32_t y = band.first; y < band.end; ++y) smooth_row(f, band, y);
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
