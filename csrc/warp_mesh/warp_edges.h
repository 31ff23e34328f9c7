// Antialiasing of the CPU twin. A row of flags is a row of bits, pixel x in bit x % 64 of word
// x / 64, so that a neighbourhood is a few shifts for 64 pixels.
#pragma once

#include <algorithm>
#include <cstring>

#include "warp_mesh/lanes.h"
#include "warp_mesh/warp_band.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

// Bits of pixels whose texture coordinate differs from the left or upper neighbour's.
inline void mark_jumps(const WarpFrame& f, const WarpBand& band, std::int32_t y) {
  float* u = band.u + band.plane_row(y);
  float* v = band.v + band.plane_row(y);
  // The first pixel has no left neighbour, the first row no upper one: they equal themselves.
  u[-1] = u[0];
  v[-1] = v[0];
  const std::int64_t up = y > 0 ? -band.stride : 0;
  const Lanes limit = all(f.options.edge_jump);
  std::uint64_t* jump = band.jump + band.words(y);
  for (std::int32_t word = 0; word * 64 < f.width; ++word) {
    std::uint64_t found = 0;
    for (std::int32_t x = word * 64; x < std::min(word * 64 + 64, f.width); x += kLanes) {
      const Lanes here_u = load(u + x);
      const Lanes here_v = load(v + x);
      const Lanes left =
          widest(distance(here_u, load(u + x - 1)), distance(here_v, load(v + x - 1)));
      const Lanes above =
          widest(distance(here_u, load(u + x + up)), distance(here_v, load(v + x + up)));
      const LaneMask edge = below(first_lanes(f.width - x), limit, widest(left, above));
      found |= static_cast<std::uint64_t>(bits(edge)) << (x % 64);
    }
    jump[word] = found;
  }
}

// Widens a row of bits by one pixel to both sides. `source` has zero words before and after it.
VASA_HD std::uint64_t widen(const std::uint64_t* source, std::int32_t word) {
  return source[word] | (source[word] << 1) | (source[word] >> 1) | (source[word - 1] >> 63) |
         (source[word + 1] << 63);
}

// Bits of pixels of row y with a jump among the nine around them; whether there is any.
inline bool mark_smooth(const WarpFrame& f, const WarpBand& band, std::int32_t y) {
  const std::uint64_t* here = band.jump + band.words(y);
  const std::uint64_t* above = y > 0 ? here - band.word_stride : here;
  const std::uint64_t* under = y + 1 < f.height ? here + band.word_stride : here;
  const std::int32_t words = (f.width + 63) / 64;
  band.column[-1] = band.column[words] = 0;
  std::uint64_t found = 0;
  for (std::int32_t word = 0; word < words; ++word) {
    band.column[word] = above[word] | here[word] | under[word];
    found |= band.column[word];
  }
  if (found == 0) return false;
  for (std::int32_t word = 0; word < words; ++word) band.smooth[word] = widen(band.column, word);
  return true;
}

// The nine pixels around x; rows and columns beyond the frame repeat its border.
struct Neighbourhood {
  const std::uint32_t* rows[3];
  std::int32_t last;

  VASA_HD std::uint32_t at(int row, std::int32_t x) const {
    return rows[row][std::min(std::max(x, 0), last)];
  }
};

VASA_HD void smooth_at(const Neighbourhood& near, std::int32_t x, std::uint8_t* out) {
  std::uint32_t pixels[9];
  std::uint32_t any = 0;
  for (int j = 0; j < 3; ++j) {
    for (int i = 0; i < 3; ++i) {
      pixels[3 * j + i] = near.at(j, x - 1 + i);
      any |= pixels[3 * j + i];
    }
  }
  // Nothing but transparent pixels: this one is already written as 0.
  if ((any >> 24) != 0) smooth_pixel(reinterpret_cast<const std::uint8_t*>(pixels), out);
}

// Row y into the frame, antialiased where it needs it.
inline void smooth_row(const WarpFrame& f, const WarpBand& band, std::int32_t y) {
  const std::uint32_t* here = band.colour + band.row(y);
  std::uint8_t* out = f.out + 4 * static_cast<std::int64_t>(y) * f.width;
  std::memcpy(out, here, 4 * static_cast<std::size_t>(f.width));
  if (!mark_smooth(f, band, y)) return;
  const Neighbourhood near{
      {y > 0 ? here - band.stride : here, here, y + 1 < f.height ? here + band.stride : here},
      f.width - 1};
  for (std::int32_t start = 0; start < f.width; start += 64) {
    std::uint64_t pending = band.smooth[start / 64];
    for (std::int32_t x = start; pending != 0 && x < f.width; ++x, pending >>= 1) {
      if ((pending & 1) != 0) smooth_at(near, x, out + 4 * x);
    }
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
