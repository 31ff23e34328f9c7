// The arrays of a prepared mesh, laid out alike on the CPU and on a GPU.
#pragma once

#include <cstdint>

#include "warp_mesh/warp_math.h"

namespace vasa_cam {

struct WarpSizes {
  std::int64_t vertices = 0;
  std::int64_t triangles = 0;
  std::int32_t width = 0;  // texture
  std::int32_t height = 0;
  bool detail = false;
};

// Throws std::invalid_argument if the tensors do not fit each other.
WarpSizes check_warp_tensors(const WarpTensors& tensors);

// Pointers into `base`, or all null with only `bytes` counted. `packed` is scratch of a frame.
WarpData lay_out(const WarpSizes& size, char* base, PackedVertex** packed, std::int64_t* bytes);

// Fills the arrays of `lay_out`, in CPU memory.
void fill_warp_data(const WarpTensors& tensors, WarpData& data);

}  // namespace vasa_cam
