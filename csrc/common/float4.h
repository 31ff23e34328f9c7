// Four floats that the CPU keeps in one register; the same source on host and device.
#pragma once

#include "vasa_cam/host_device.h"

namespace vasa_cam {

#if (defined(__GNUC__) || defined(__clang__)) && !defined(__CUDACC__)

typedef float Float4 __attribute__((vector_size(16)));

VASA_HD Float4 make_row(float x, float y, float z, float w) { return Float4{x, y, z, w}; }
VASA_HD Float4 splat(float value) { return Float4{value, value, value, value}; }
VASA_HD float x_of(Float4 v) { return v[0]; }
VASA_HD float y_of(Float4 v) { return v[1]; }
VASA_HD float z_of(Float4 v) { return v[2]; }
VASA_HD float w_of(Float4 v) { return v[3]; }

// Of the first three; the fourth of the result is zero if it is in `a` and `b`.
VASA_HD Float4 cross(Float4 a, Float4 b) {
  typedef int Int4 __attribute__((vector_size(16)));
#if defined(__clang__)
  const Float4 turned =
      a * __builtin_shufflevector(b, b, 1, 2, 0, 3) - __builtin_shufflevector(a, a, 1, 2, 0, 3) * b;
  return __builtin_shufflevector(turned, turned, 1, 2, 0, 3);
#else
  const Int4 next = {1, 2, 0, 3};
  const Float4 turned = a * __builtin_shuffle(b, next) - __builtin_shuffle(a, next) * b;
  return __builtin_shuffle(turned, next);
#endif
}

#else

struct alignas(16) Float4 {
  float x, y, z, w;
};

VASA_HD Float4 make_row(float x, float y, float z, float w) { return Float4{x, y, z, w}; }
VASA_HD Float4 splat(float value) { return Float4{value, value, value, value}; }
VASA_HD float x_of(Float4 v) { return v.x; }
VASA_HD float y_of(Float4 v) { return v.y; }
VASA_HD float z_of(Float4 v) { return v.z; }
VASA_HD float w_of(Float4 v) { return v.w; }
VASA_HD Float4 operator+(Float4 a, Float4 b) {
  return Float4{a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}
VASA_HD Float4 operator-(Float4 a, Float4 b) {
  return Float4{a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w};
}
VASA_HD Float4 operator*(Float4 a, Float4 b) {
  return Float4{a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w};
}
VASA_HD Float4 cross(Float4 a, Float4 b) {
  return Float4{a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x, 0.0f};
}

#endif

static_assert(sizeof(Float4) == 16 && alignof(Float4) == 16, "host and device share arrays of it");

// Of the first three.
VASA_HD float dot3(Float4 a, Float4 b) {
  const Float4 product = a * b;
  return x_of(product) + y_of(product) + z_of(product);
}

}  // namespace vasa_cam
