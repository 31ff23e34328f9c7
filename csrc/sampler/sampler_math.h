// The arithmetic that both twins share.
#pragma once

#include <cstdint>
#include <cstring>

#include "vasa_cam/host_device.h"

namespace vasa_cam {

constexpr float kNormEpsilon = 1e-5f;
constexpr float kLog2E = 1.44269504f;

// 2^f for |f| <= 1/2 as 1 + f (c1 + f (c2 + ...)): the polynomial of least relative error, 9.2e-8.
constexpr float kPower1 = 0.6931469775f;
constexpr float kPower2 = 0.2402224212f;
constexpr float kPower3 = 0.05550733963f;
constexpr float kPower4 = 0.009671511324f;
constexpr float kPower5 = 0.001326465239f;
// Beyond these the result stays at 1.2e-38 or 2.4e38: finite, so that its reciprocal is too.
constexpr float kPowerMin = -126.0f;
constexpr float kPowerMax = 127.49f;
// Adding 1.5 * 2^23 rounds to a whole number and leaves it in the lowest bits; 127 more make it the
// exponent of a float.
constexpr float kRounder = 12582912.0f + 127.0f;

VASA_HD std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

VASA_HD float float_of(std::uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// 2^x, relative error below 2e-7. NaN stays NaN.
VASA_HD float power_of_two(float x) {
  // The comparisons are false for NaN, which goes through.
  const float low = x < kPowerMin ? kPowerMin : x;
  const float t = low > kPowerMax ? kPowerMax : low;
  const float shifted = t + kRounder;
  const float f = t - (shifted - kRounder);
  float power = kPower5 * f + kPower4;
  power = power * f + kPower3;
  power = power * f + kPower2;
  power = power * f + kPower1;
  power = power * f + 1.0f;
  return power * float_of(bits_of(shifted) << 23);
}

// erfc(z) e^(z^2) = t (g0 + t (g1 + ...)) with t = 1 / (1 + kErfcRate z), for z >= 0: the
// polynomial of least relative error, 2e-7.
constexpr float kErfcRate = 0.4f;
constexpr float kErfc0 = 0.225675866f;
constexpr float kErfc1 = 0.2256696075f;
constexpr float kErfc2 = 0.2078426033f;
constexpr float kErfc3 = 0.1685427427f;
constexpr float kErfc4 = 0.1414282471f;
constexpr float kErfc5 = -0.005600356031f;
constexpr float kErfc6 = 0.169076547f;
constexpr float kErfc7 = -0.1828957796f;
constexpr float kErfc8 = 0.05026065186f;

VASA_HD float scaled_erfc(float z) {
  const float t = 1.0f / (1.0f + kErfcRate * z);
  float sum = kErfc8 * t + kErfc7;
  sum = sum * t + kErfc6;
  sum = sum * t + kErfc5;
  sum = sum * t + kErfc4;
  sum = sum * t + kErfc3;
  sum = sum * t + kErfc2;
  sum = sum * t + kErfc1;
  sum = sum * t + kErfc0;
  return sum * t;
}

// x Phi(x) with the normal distribution's Phi, as max(x, 0) - |x| erfc(|x| / sqrt 2) / 2, which
// cancels nowhere.
constexpr float kHalfLog2E = 0.5f * kLog2E;
constexpr float kRootHalf = 0.70710678f;

VASA_HD float gelu(float x) {
  const float size = x < 0.0f ? -x : x;
  const float tail = scaled_erfc(kRootHalf * size) * power_of_two(-kHalfLog2E * size * size);
  // NaN goes through: it is not smaller.
  return (x < 0.0f ? 0.0f : x) - 0.5f * size * tail;
}

VASA_HD float silu(float x) { return x / (1.0f + power_of_two(-kLog2E * x)); }

// Tokens of all passes lie one after the other. Of these, the last `count` of every pass in turn.
struct TokenRows {
  std::int64_t tokens;  // T, tokens of a pass
  std::int64_t count;   // 1 .. T

  VASA_HD std::int64_t row(std::int64_t index) const {
    return count == tokens ? index : index / count * tokens + tokens - count + index % count;
  }
};

}  // namespace vasa_cam
