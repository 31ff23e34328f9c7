// An aperture seen from a point, and the aperture of two chains; shared by the twins.
#pragma once

#include <cmath>
#include <cstdint>

#include "vasa_cam/compose.h"
#include "vasa_cam/host_device.h"

namespace vasa_cam {

// Openings shorter than this, or not finite, have length 0 and are not drawn.
constexpr float kLeastLength = 1e-3f;

VASA_HD float limit(float value, float low, float high) {
  return value > low ? (value < high ? value : high) : low;
}

VASA_HD float mix(float a, float b, float share) { return a + (b - a) * share; }

// 0 up to low, 1 from high, the cubic 3 t^2 - 2 t^3 between.
VASA_HD float smoothstep(float low, float high, float value) {
  const float t = limit((value - low) / (high - low), 0.0f, 1.0f);
  return t * t * (3.0f - 2.0f * t);
}

// A point's place along and across an opening, and the two curves there, px.
struct Opening {
  float along, across, upper, lower, upper_cos, lower_cos, length, gap;

  // Share of a pixel below the upper curve.
  VASA_HD float below_upper(float softness) const {
    return limit(0.5f + (across - upper) * upper_cos / softness, 0.0f, 1.0f);
  }
  // Share of a pixel between the two corners.
  VASA_HD float ends(float softness) const {
    return limit(0.5f + along / softness, 0.0f, 1.0f) *
           limit(0.5f + (length - along) / softness, 0.0f, 1.0f);
  }
  // Share of a pixel inside: exact for a box filter across parallel curves.
  VASA_HD float coverage(float softness) const {
    const float above = limit(0.5f + (lower - across) * lower_cos / softness, 0.0f, 1.0f);
    const float inside = below_upper(softness) + above - 1.0f;
    return inside > 0.0f ? inside * ends(softness) : 0.0f;
  }
};

VASA_HD Opening opening_at(const float* aperture, float x, float y) {
  const float dx = x - aperture[0];
  const float dy = y - aperture[1];
  Opening o;
  o.length = aperture[4];
  o.gap = aperture[5];
  o.along = dx * aperture[2] + dy * aperture[3];
  o.across = dy * aperture[2] - dx * aperture[3];
  constexpr float spans = kApertureKnots - 1;
  const float position = limit(o.along / o.length, 0.0f, 1.0f) * spans;
  const auto whole = static_cast<std::int32_t>(position);
  const std::int32_t knot = whole < kApertureKnots - 2 ? whole : kApertureKnots - 2;
  const float share = position - static_cast<float>(knot);
  const float* upper = aperture + 6 + knot;
  const float* lower = upper + kApertureKnots;
  const float upper_step = upper[1] - upper[0];
  const float lower_step = lower[1] - lower[0];
  const float per_px = spans / o.length;
  o.upper = upper[0] + upper_step * share;
  o.lower = lower[0] + lower_step * share;
  o.upper_cos = 1.0f / sqrtf(1.0f + upper_step * upper_step * per_px * per_px);
  o.lower_cos = 1.0f / sqrtf(1.0f + lower_step * lower_step * per_px * per_px);
  return o;
}

// Pixels of a frame; x1, y1 are the first ones outside.
struct PixelBox {
  std::int32_t x0, y0, x1, y1;
  VASA_HD bool empty() const { return x0 >= x1 || y0 >= y1; }
};

// What an aperture and a margin can touch.
VASA_HD PixelBox bounds(const float* a, float margin, std::int32_t width, std::int32_t height) {
  float least = a[6];
  float most = a[6];
  for (std::int32_t i = 7; i < kApertureSize; ++i) {
    least = a[i] < least ? a[i] : least;
    most = a[i] > most ? a[i] : most;
  }
  float low[2] = {3e38f, 3e38f};
  float high[2] = {-3e38f, -3e38f};
  for (int corner = 0; corner < 4; ++corner) {
    const float s = corner % 2 == 0 ? -margin : a[4] + margin;
    const float t = corner / 2 == 0 ? least - margin : most + margin;
    const float at[2] = {a[0] + s * a[2] - t * a[3], a[1] + s * a[3] + t * a[2]};
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = at[axis] < low[axis] ? at[axis] : low[axis];
      high[axis] = at[axis] > high[axis] ? at[axis] : high[axis];
    }
  }
  const auto w = static_cast<float>(width);
  const auto h = static_cast<float>(height);
  return {static_cast<std::int32_t>(limit(floorf(low[0]), 0.0f, w)),
          static_cast<std::int32_t>(limit(floorf(low[1]), 0.0f, h)),
          static_cast<std::int32_t>(limit(ceilf(high[0]) + 1.0f, 0.0f, w)),
          static_cast<std::int32_t>(limit(ceilf(high[1]) + 1.0f, 0.0f, h))};
}

// Corners and axis of an opening; length 0 for one that can't be drawn.
struct OpeningAxis {
  float x, y, ux, uy, length;
};

struct Chain {
  const float* vertices;        // [vertex_count, 3]
  const std::int32_t* indices;  // [count]
  std::int32_t count;
  std::int64_t vertex_count;  // at least 1

  // An index out of range is brought back into it: on a GPU nobody can check it beforehand.
  VASA_HD const float* vertex(std::int32_t i) const {
    const std::int64_t index = indices[i];
    return vertices + 3 * (index < 0 ? 0 : (index < vertex_count ? index : vertex_count - 1));
  }
  VASA_HD float x(std::int32_t i) const { return vertex(i)[0]; }
  VASA_HD float y(std::int32_t i) const { return vertex(i)[1]; }
  VASA_HD bool finite() const {
    for (std::int32_t i = 0; i < count; ++i) {
      // Differences of infinities and of what is not a number are not 0.
      if (!(x(i) - x(i) == 0.0f && y(i) - y(i) == 0.0f)) return false;
    }
    return true;
  }
};

VASA_HD OpeningAxis opening_axis(const Chain& upper, const Chain& lower) {
  const std::int32_t last = upper.count - 1;
  const float x0 = 0.5f * (upper.x(0) + lower.x(0));
  const float y0 = 0.5f * (upper.y(0) + lower.y(0));
  const float dx = 0.5f * (upper.x(last) + lower.x(lower.count - 1)) - x0;
  const float dy = 0.5f * (upper.y(last) + lower.y(lower.count - 1)) - y0;
  const float length = sqrtf(dx * dx + dy * dy);
  const bool usable = length >= kLeastLength && length < 1e30f && upper.finite() && lower.finite();
  if (!usable) return {0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
  return {x0, y0, dx / length, dy / length, length};
}

// Offsets of a chain at the knots. A vertex that would run backwards along the axis is taken at its
// predecessor's place.
VASA_HD void chain_offsets(const Chain& chain, const OpeningAxis& axis, float* offsets) {
  std::int32_t next = 0;
  float before_s = 0.0f;
  float before_t = 0.0f;
  float s = -3e38f;
  float t = 0.0f;
  for (std::int32_t knot = 0; knot < kApertureKnots; ++knot) {
    const float at = axis.length * (static_cast<float>(knot) / (kApertureKnots - 1));
    // Move on to the first vertex beyond this knot.
    while (next < chain.count && (next == 0 || s <= at)) {
      const float dx = chain.x(next) - axis.x;
      const float dy = chain.y(next) - axis.y;
      const float along = dx * axis.ux + dy * axis.uy;
      before_s = s;
      before_t = t;
      s = along > s ? along : s;
      t = dy * axis.ux - dx * axis.uy;
      if (next == 0) before_t = t;
      ++next;
    }
    const bool inside = s > at && before_s > -3e38f && s > before_s;
    offsets[knot] =
        inside ? mix(before_t, t, (at - before_s) / (s - before_s)) : (s > at ? before_t : t);
  }
}

VASA_HD void fill_aperture(const Chain& upper, const Chain& lower, float* out) {
  const OpeningAxis axis = opening_axis(upper, lower);
  if (!(axis.length > 0.0f)) {
    for (std::int32_t i = 0; i < kApertureSize; ++i) out[i] = 0.0f;
    return;
  }
  out[0] = axis.x;
  out[1] = axis.y;
  out[2] = axis.ux;
  out[3] = axis.uy;
  out[4] = axis.length;
  float* above = out + 6;
  float* below = above + kApertureKnots;
  chain_offsets(upper, axis, above);
  chain_offsets(lower, axis, below);
  float gap = 0.0f;
  for (std::int32_t i = 0; i < kApertureKnots; ++i) {
    if (below[i] < above[i]) above[i] = below[i] = 0.5f * (above[i] + below[i]);
    gap = below[i] - above[i] > gap ? below[i] - above[i] : gap;
  }
  out[5] = gap;
}

}  // namespace vasa_cam
