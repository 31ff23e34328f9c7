// CPU twin: rasterise a band of rows into planes, look the texture up row by row, smooth the edges.
#include <algorithm>

#include "warp_mesh/warp_edges.h"
#include "warp_mesh/warp_raster.h"
#include "warp_mesh/warp_shade.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

namespace {

// Colours of a neighbour's row, where antialiasing of row `edge` of this band looks at them.
void shade_neighbour(const WarpFrame& f, const WarpBand& band, std::int32_t y, std::int32_t edge) {
  if (y < 0 || y >= f.height || !mark_smooth(f, band, edge)) return;
  const std::int32_t words = (f.width + 63) / 64;
  for (std::int32_t word = 0; word < words; ++word) band.column[word] = band.smooth[word];
  for (std::int32_t word = 0; word < words; ++word) band.smooth[word] = widen(band.column, word);
  shade_row(f, band, y, band.smooth);
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
