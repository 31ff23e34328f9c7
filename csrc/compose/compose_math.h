// The arithmetic of the compose ops for one pixel, shared by the CPU and CUDA twins.
#pragma once

#include <cstdint>

#include "compose/opening.h"

namespace vasa_cam {

struct Image {
  std::uint8_t* data;
  std::int32_t width, height, channels;

  VASA_HD std::uint8_t* at(std::int32_t x, std::int32_t y) const {
    return data + (static_cast<std::int64_t>(y) * width + x) * channels;
  }
};

// A number in 0..255; what is not a number becomes 0.
VASA_HD std::uint8_t byte_of(float value) {
  return static_cast<std::uint8_t>(limit(value, 0.0f, 255.0f) + 0.5f);
}

VASA_HD std::int32_t clamp_index(std::int32_t index, std::int32_t count) {
  return index < 0 ? 0 : (index < count ? index : count - 1);
}

// Far enough outside every image, and safe to convert.
VASA_HD float safe_coordinate(float value) { return limit(value, -1e5f, 1e5f); }

// Catmull-Rom lookup (a = -0.5), clamped to the edge.
template <int Channels>
VASA_HD void sample_bicubic(const Image& image, float u, float v, float* out) {
  u = safe_coordinate(u);
  v = safe_coordinate(v);
  const float fu = floorf(u);
  const float fv = floorf(v);
  float weights[2][4];
  for (int axis = 0; axis < 2; ++axis) {
    const float t = axis == 0 ? u - fu : v - fv;
    const float t2 = t * t;
    const float t3 = t2 * t;
    weights[axis][0] = 0.5f * (-t3 + 2.0f * t2 - t);
    weights[axis][1] = 0.5f * (3.0f * t3 - 5.0f * t2 + 2.0f);
    weights[axis][2] = 0.5f * (-3.0f * t3 + 4.0f * t2 + t);
    weights[axis][3] = 0.5f * (t3 - t2);
  }
  const auto x = static_cast<std::int32_t>(fu);
  const auto y = static_cast<std::int32_t>(fv);
  for (int c = 0; c < Channels; ++c) out[c] = 0.0f;
  for (int j = 0; j < 4; ++j) {
    const std::uint8_t* row = image.at(0, clamp_index(y + j - 1, image.height));
    for (int i = 0; i < 4; ++i) {
      const std::uint8_t* texel = row + Channels * clamp_index(x + i - 1, image.width);
      const float weight = weights[1][j] * weights[0][i];
      for (int c = 0; c < Channels; ++c) out[c] += weight * static_cast<float>(texel[c]);
    }
  }
}

VASA_HD void sample_bilinear(const Image& image, float u, float v, float* rgb) {
  u = limit(u, 0.0f, static_cast<float>(image.width - 1));
  v = limit(v, 0.0f, static_cast<float>(image.height - 1));
  const auto x = static_cast<std::int32_t>(u);
  const auto y = static_cast<std::int32_t>(v);
  const std::int32_t right = clamp_index(x + 1, image.width);
  const std::int32_t under = clamp_index(y + 1, image.height);
  const float s = u - static_cast<float>(x);
  const float t = v - static_cast<float>(y);
  for (int c = 0; c < 3; ++c) {
    const float top = mix(image.at(x, y)[c], image.at(right, y)[c], s);
    rgb[c] = mix(top, mix(image.at(x, under)[c], image.at(right, under)[c], s), t);
  }
}

// v / 255, rounded to nearest, for v in 0..255 * 255.
VASA_HD std::int32_t divide_by_255(std::int32_t v) {
  v += 128;
  return (v + (v >> 8)) >> 8;
}

// Straight-alpha `upper` over `under`, which has 3 or 4 channels.
VASA_HD void over_pixel(const std::uint8_t* upper, const std::uint8_t* under, std::int32_t channels,
                        std::uint8_t* out) {
  const std::int32_t alpha = upper[3];
  if (alpha == 0) {
    for (int c = 0; c < channels; ++c) out[c] = under[c];
    return;
  }
  if (channels == 3 || under[3] == 255) {
    for (int c = 0; c < 3; ++c) {
      out[c] =
          static_cast<std::uint8_t>(divide_by_255(upper[c] * alpha + under[c] * (255 - alpha)));
    }
    if (channels == 4) out[3] = 255;
    return;
  }
  const float front = static_cast<float>(alpha) / 255.0f;
  const float behind = static_cast<float>(under[3]) / 255.0f * (1.0f - front);
  const float total = front + behind;
  const float share = total > 0.0f ? 1.0f / total : 0.0f;
  for (int c = 0; c < 3; ++c) {
    out[c] = byte_of(
        (static_cast<float>(upper[c]) * front + static_cast<float>(under[c]) * behind) * share);
  }
  out[3] = byte_of(total * 255.0f);
}

// One call of compose_eye.
struct EyeScene {
  EyeParams params;
  const float* aperture;  // [134]
  Image frame, sclera, iris, lid;
  float direction[2];  // of the gaze in the image, its length the sine of the angle
  float towards[2];    // the same as a unit vector
  float widening;      // 1 / cosine of the angle - 1
};

// What all pixels of an eye share.
struct EyeState {
  float zoom;    // patch px in a screen px across the opening
  float closed;  // 0 as at rest .. 1 shut
  PixelBox box;  // empty if there is nothing to draw
};

VASA_HD EyeState eye_state(const EyeScene& e) {
  const EyeParams& p = e.params;
  const float* a = e.aperture;
  const float* m = p.patch_from_screen;
  const float rest_gap = p.rest_aperture[5];
  EyeState state{0.0f, 0.0f, {0, 0, 0, 0}};
  if (!(a[4] > 0.0f) || !(p.rest_aperture[4] > 0.0f)) return state;
  const float du = -m[0] * a[3] + m[1] * a[2];
  const float dv = -m[3] * a[3] + m[4] * a[2];
  state.zoom = sqrtf(du * du + dv * dv);
  if (!(state.zoom > 0.0f && state.zoom < 1e30f)) return state;
  if (rest_gap > 1e-3f) state.closed = limit(1.0f - a[5] * state.zoom / rest_gap, 0.0f, 1.0f);
  // The lid skin begins where the lid was at rest, about as far up as the gap has shrunk.
  const float share = state.closed > 0.25f ? state.closed : 0.25f;
  const float travel = share * (rest_gap > 0.0f ? rest_gap : 0.0f) + 0.3f * p.iris_radius;
  state.box = bounds(a, 2.0f + p.softness + travel / state.zoom, e.frame.width, e.frame.height);
  return state;
}

VASA_HD float lid_light(const EyeParams& p, float below) {
  return 1.0f -
         p.shadow_strength * (1.0f - smoothstep(0.0f, p.shadow_reach * p.iris_radius, below));
}

// Sclera with the iris over it, in the light of the lid's present place.
VASA_HD void eyeball(const EyeScene& e, const EyeState& state, const Opening& now,
                     const Opening& rest, float u, float v, float* rgb) {
  const EyeParams& p = e.params;
  const float light = lid_light(p, (now.across - now.upper) * state.zoom);
  const float x = u - p.iris_centre[0] - p.eyeball_radius * e.direction[0];
  const float y = v - p.iris_centre[1] - p.eyeball_radius * e.direction[1];
  const float extra = (x * e.towards[0] + y * e.towards[1]) * e.widening;
  const float iris_u = p.iris_centre[0] + x + extra * e.towards[0];
  const float iris_v = p.iris_centre[1] + y + extra * e.towards[1];
  float disc[4];
  sample_bicubic<4>(e.iris, iris_u, iris_v, disc);
  const float alpha = limit(disc[3] / 255.0f, 0.0f, 1.0f);
  for (int c = 0; c < 3; ++c) rgb[c] = 0.0f;
  if (alpha < 1.0f) {
    sample_bicubic<3>(e.sclera, u, v, rgb);
    const float gain = light / lid_light(p, rest.across - rest.upper);
    for (int c = 0; c < 3; ++c) rgb[c] = limit(rgb[c] * gain, 0.0f, 255.0f);
  }
  if (alpha > 0.0f) {
    const Opening source = opening_at(p.rest_aperture, iris_u, iris_v);
    const float tone = light / lid_light(p, source.across - source.upper);
    for (int c = 0; c < 3; ++c) rgb[c] = mix(rgb[c], limit(disc[c] * tone, 0.0f, 255.0f), alpha);
  }
}

// Share of the closing lid's skin; its texture coordinate is written. Next to the lash line it
// leaves the photo's own lashes, which the mesh carries down.
VASA_HD float lid_skin(const EyeScene& e, const EyeState& state, const Opening& now,
                       const Opening& rest, float* at) {
  const EyeParams& p = e.params;
  const float above = (now.upper - now.across) * state.zoom;
  const float passed = rest.across - rest.upper;
  const float scale = rest.gap > 1e-3f ? rest.gap : 1e-3f;
  const float radius = p.iris_radius;
  const float share = now.along / now.length;
  at[0] = limit(share, 0.0f, 1.0f) * static_cast<float>(e.lid.width - 1);
  at[1] = limit(1.0f - above / scale, 0.0f, 1.0f) * static_cast<float>(e.lid.height - 1);
  return p.lid_strength * smoothstep(0.0f, 0.35f * scale, passed + above) *
         smoothstep(-0.3f * radius, 0.5f * radius, passed) *
         smoothstep(0.0f, 0.3f * radius, above) * smoothstep(0.0f, 0.1f, share) *
         smoothstep(0.0f, 0.1f, 1.0f - share);
}

// Share of the lash line: soft, thinner towards the corners.
VASA_HD float lash_line(const EyeParams& p, const EyeState& state, const Opening& now) {
  const float offset = now.across - now.upper;
  const float away = (offset < 0.0f ? -offset : offset) * now.upper_cos;
  const float wanted = p.lash_width * p.iris_radius / state.zoom;
  const float half = wanted > 1.0f ? wanted : 1.0f;
  if (away >= half) return 0.0f;
  const float share = now.along / now.length;
  return (1.0f - smoothstep(0.0f, half, away)) * smoothstep(0.0f, 0.15f, share) *
         smoothstep(0.0f, 0.15f, 1.0f - share);
}

VASA_HD void eye_pixel(const EyeScene& e, const EyeState& state, std::int32_t x, std::int32_t y) {
  const EyeParams& p = e.params;
  const auto fx = static_cast<float>(x);
  const auto fy = static_cast<float>(y);
  const Opening now = opening_at(e.aperture, fx, fy);
  const float cover = now.coverage(p.softness);
  const float lash = state.closed > 0.1f ? lash_line(p, state, now) * p.lash_strength *
                                               smoothstep(0.1f, 0.9f, state.closed)
                                         : 0.0f;
  const bool under_lid = now.across < now.upper && now.along > 0.0f && now.along < now.length;
  if (!under_lid && !(cover > 0.0f) && !(lash > 0.0f)) return;
  const float* m = p.patch_from_screen;
  const float u = m[0] * fx + m[1] * fy + m[2];
  const float v = m[3] * fx + m[4] * fy + m[5];
  const Opening rest = opening_at(p.rest_aperture, u, v);
  float at[2] = {};
  const float skin = under_lid ? lid_skin(e, state, now, rest, at) : 0.0f;
  if (!(skin > 0.0f) && !(cover > 0.0f) && !(lash > 0.0f)) return;
  std::uint8_t* pixel = e.frame.at(x, y);
  float colour[3] = {static_cast<float>(pixel[0]), static_cast<float>(pixel[1]),
                     static_cast<float>(pixel[2])};
  float layer[3];
  if (skin > 0.0f) {
    sample_bilinear(e.lid, at[0], at[1], layer);
    for (int c = 0; c < 3; ++c) colour[c] = mix(colour[c], layer[c], skin);
  }
  if (cover > 0.0f) {
    eyeball(e, state, now, rest, u, v, layer);
    for (int c = 0; c < 3; ++c) colour[c] = mix(colour[c], layer[c], cover);
  }
  for (int c = 0; c < 3; ++c) pixel[c] = byte_of(mix(colour[c], p.lash_rgb[c], lash));
  if (e.frame.channels == 4) pixel[3] = byte_of(mix(pixel[3], 255.0f, cover));
}

// One call of compose_mouth.
struct MouthScene {
  MouthParams params;
  const float* aperture;  // [134]
  Image frame, interior;
  std::int32_t x, y;       // of the interior's first pixel in the frame
  std::uint8_t cavity[3];  // its colour as bytes
};

struct MouthState {
  float shown;  // 0..1
  PixelBox box;
};

VASA_HD MouthState mouth_state(const MouthScene& s) {
  const MouthParams& p = s.params;
  if (!(s.aperture[4] > 0.0f)) return {0.0f, {0, 0, 0, 0}};
  const float shown = smoothstep(p.fade[0], p.fade[1], s.aperture[5]);
  if (!(shown > 0.0f)) return {0.0f, {0, 0, 0, 0}};
  return {shown,
          bounds(s.aperture, 2.0f + p.softness + 2.0f * p.rim, s.frame.width, s.frame.height)};
}

// Light that reaches the mouth's inside, 0..1.
VASA_HD float mouth_occlusion(const MouthParams& p, const Opening& now) {
  const float half = 0.5f * now.length;
  const float from_middle = now.along - half;
  float light = 0.68f + 0.32f * smoothstep(-0.05f, 0.35f, (now.across - now.upper) / p.px_per_cm);
  light *= 0.80f + 0.20f * smoothstep(-0.05f, 0.25f, (now.lower - now.across) / p.px_per_cm);
  light *= 1.0f - 0.55f * smoothstep(0.5f, 1.05f,
                                     (from_middle < 0.0f ? -from_middle : from_middle) / half);
  light *= 0.78f + 0.22f * smoothstep(0.05f, 0.4f, now.gap / p.px_per_cm);
  return 1.0f - p.occlusion * (1.0f - light);
}

// Darkening of the lips around the opening, 0..1.
VASA_HD float mouth_rim(const MouthParams& p, const Opening& now) {
  const float above = (now.upper - now.across) * now.upper_cos;
  const float under = (now.across - now.lower) * now.lower_cos;
  const float near = 1.0f - smoothstep(0.0f, 2.0f * p.rim, above > under ? above : under);
  return 0.5f * p.rim_strength * near * near * now.ends(2.0f * p.rim);
}

VASA_HD void mouth_pixel(const MouthScene& s, const MouthState& state, std::int32_t x,
                         std::int32_t y) {
  const MouthParams& p = s.params;
  const Opening now = opening_at(s.aperture, static_cast<float>(x), static_cast<float>(y));
  const float cover = now.coverage(p.softness) * state.shown;
  const float rim = mouth_rim(p, now) * state.shown * (1.0f - cover);
  if (!(cover > 0.0f) && !(rim > 0.0f)) return;
  std::uint8_t* pixel = s.frame.at(x, y);
  if (!(cover > 0.0f)) {
    for (int c = 0; c < 3; ++c) pixel[c] = byte_of(static_cast<float>(pixel[c]) * (1.0f - rim));
    return;
  }
  std::uint8_t inside[3] = {s.cavity[0], s.cavity[1], s.cavity[2]};
  const std::int32_t column = x - s.x;
  const std::int32_t row = y - s.y;
  if (column >= 0 && row >= 0 && column < s.interior.width && row < s.interior.height) {
    over_pixel(s.interior.at(column, row), inside, 3, inside);
  }
  // Shadow in a mouth is red: the channels' exponents differ. One logarithm serves all three
  // powers.
  const float doublings = log2f(mouth_occlusion(p, now));
  const float tone[3] = {exp2f(0.85f * doublings), exp2f(1.12f * doublings),
                         exp2f(1.20f * doublings)};
  for (int c = 0; c < 3; ++c) {
    const float lip = static_cast<float>(pixel[c]) * (1.0f - rim);
    pixel[c] = byte_of(mix(lip, static_cast<float>(inside[c]) * tone[c], cover));
  }
  if (s.frame.channels == 4) pixel[3] = byte_of(mix(pixel[3], 255.0f, cover));
}

}  // namespace vasa_cam
