// Where the pixels of an enlarged map's convolution come from.
#pragma once

#include <cstdint>

#include "vasa_cam/host_device.h"
#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

struct PhaseParams {
  // [images, height + 1, width + 1, 4 channels], [.., height + 1, width, 2 channels],
  // [.., height, width + 1, 2 channels], [images, height, width, channels]; those that the factor
  // doesn't use are null.
  const void* corners;
  const void* rows;     // edges between rows
  const void* columns;  // edges between columns
  const void* insides;
  const float* bias;  // [channels]
  void* out;          // [groups, images, factor height, factor width, channels / groups]
  std::int64_t images;
  std::int64_t height;  // of the small map
  std::int64_t width;   // of the small map
  std::int64_t channels;
  std::int64_t groups;
  std::int32_t factor;  // 1, 2 or 4
  bool relu;
  DType dtype;
};

// Along one axis, of the pixels made of one of the map's.
struct PhaseAxis {
  std::int64_t at;  // edge, or pixel of the map
  bool edge;
  std::int64_t side;  // 0 before the edge, 1 behind it
};

VASA_HD PhaseAxis phase_axis(std::int32_t factor, std::int64_t pixel, std::int64_t phase) {
  if (factor == 1) return {pixel, false, 0};
  if (phase == 0) return {pixel, true, 1};
  if (phase == factor - 1) return {pixel + 1, true, 0};
  return {pixel, false, 0};
}

// Where the `channels` numbers of a pixel begin.
struct PhaseSource {
  const void* part;
  std::int64_t offset;  // elements
};

VASA_HD PhaseSource phase_source(const PhaseParams& p, std::int64_t image, const PhaseAxis& y,
                                 const PhaseAxis& x) {
  const std::int64_t row = image * (p.height + (y.edge ? 1 : 0)) + y.at;
  const std::int64_t cell = row * (p.width + (x.edge ? 1 : 0)) + x.at;
  if (y.edge && x.edge) return {p.corners, (cell * 4 + y.side * 2 + x.side) * p.channels};
  if (y.edge) return {p.rows, (cell * 2 + y.side) * p.channels};
  if (x.edge) return {p.columns, (cell * 2 + x.side) * p.channels};
  return {p.insides, cell * p.channels};
}

}  // namespace vasa_cam
