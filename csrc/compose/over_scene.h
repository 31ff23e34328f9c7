// One call of compose_over.
#pragma once

#include "compose/compose_math.h"

namespace vasa_cam {

struct OverScene {
  Image background, layer, out;
  std::int32_t x, y;  // of the layer's first pixel in the background
};

// Pixel (x, y) of out: the background, under the layer where it lies.
VASA_HD void over_scene_pixel(const OverScene& s, std::int32_t x, std::int32_t y) {
  const std::uint8_t* under = s.background.at(x, y);
  std::uint8_t* out = s.out.at(x, y);
  const std::int32_t column = x - s.x;
  const std::int32_t row = y - s.y;
  if (column >= 0 && row >= 0 && column < s.layer.width && row < s.layer.height) {
    over_pixel(s.layer.at(column, row), under, s.background.channels, out);
  } else if (out != under) {
    for (int c = 0; c < s.background.channels; ++c) out[c] = under[c];
  }
  if (s.out.channels > s.background.channels) out[3] = 255;
}

}  // namespace vasa_cam
