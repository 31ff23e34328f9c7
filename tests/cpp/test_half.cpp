// Every 16-bit number there is, and the rounding between each two of them.
#include <cmath>
#include <limits>

#include "common/half.h"
#include "test_support.h"

namespace vasa_cam {
namespace {

constexpr std::uint16_t kHalfInfinity = 0x7c00;
constexpr std::uint16_t kUpperInfinity = 0x7f80;

// What the bits mean, by the definition of binary16.
float meaning_of_half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -24)
                              : std::ldexp(1024.0f + static_cast<float>(mantissa), exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

std::uint16_t rounded_half(float value) { return from_float<Half>(value).bits; }
std::uint16_t rounded_upper(float value) { return from_float<BFloat16>(value).bits; }

TEST(Half, EveryNumberMeansWhatTheStandardSays) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = to_float(Half{half});
    if ((half & 0x7fff) > kHalfInfinity) {
      ASSERT_TRUE(std::isnan(value));
      ASSERT_TRUE(std::isnan(to_float(Half{rounded_half(value)})));
    } else if ((half & 0x7fff) == kHalfInfinity) {
      ASSERT_TRUE(std::isinf(value));
      ASSERT_EQ(rounded_half(value), half);
    } else {
      ASSERT_EQ(value, meaning_of_half(half));
      ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0);
      ASSERT_EQ(rounded_half(value), half);
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (std::uint16_t lower = 0; lower < kHalfInfinity; ++lower) {
    const auto upper = static_cast<std::uint16_t>(lower + 1);
    // Past the largest number the next step would be 65536.
    const float above = upper == kHalfInfinity ? 65536.0f : meaning_of_half(upper);
    const float middle = 0.5f * (meaning_of_half(lower) + above);
    ASSERT_EQ(rounded_half(middle), lower % 2 == 0 ? lower : upper);
    ASSERT_EQ(rounded_half(std::nextafter(middle, 0.0f)), lower);
    ASSERT_EQ(rounded_half(std::nextafter(middle, 1e9f)), upper);
    ASSERT_EQ(rounded_half(-middle), 0x8000 | (lower % 2 == 0 ? lower : upper));
  }
  EXPECT_EQ(rounded_half(std::numeric_limits<float>::max()), kHalfInfinity);
  EXPECT_EQ(rounded_half(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(BFloat16, IsTheUpperHalfRounded) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto upper = static_cast<std::uint16_t>(bits);
    const float value = to_float(BFloat16{upper});
    if ((upper & 0x7fff) > kUpperInfinity) {
      ASSERT_TRUE(std::isnan(value));
      ASSERT_TRUE(std::isnan(to_float(BFloat16{rounded_upper(value)})));
      continue;
    }
    ASSERT_EQ(bits_of_float(value), bits << 16);
    ASSERT_EQ(rounded_upper(value), upper);
    if ((upper & 0x7fff) == kUpperInfinity) continue;
    const auto next = static_cast<std::uint16_t>(upper + 1);
    ASSERT_EQ(rounded_upper(float_of_bits((bits << 16) + 0x7fff)), upper);
    ASSERT_EQ(rounded_upper(float_of_bits((bits << 16) + 0x8000)), upper % 2 == 0 ? upper : next);
    ASSERT_EQ(rounded_upper(float_of_bits((bits << 16) + 0x8001)), next);
  }
}

TEST(BFloat16, ANanWhoseUpperHalfWouldBeInfinityStaysNan) {
  EXPECT_TRUE(std::isnan(to_float(from_float<BFloat16>(float_of_bits(0x7f800001u)))));
}

TEST(FloatTypes, EachTensorTypeMeetsItsOwn) {
  std::size_t bytes = 0;
  with_float_type(DType::bf16, [&bytes](auto element) { bytes = sizeof element; });
  EXPECT_EQ(bytes, 2u);
  with_float_type(DType::f32, [&bytes](auto element) { bytes = sizeof element; });
  EXPECT_EQ(bytes, 4u);
  EXPECT_TRUE(is_float(DType::f16));
  EXPECT_FALSE(is_float(DType::u8));
}

}  // namespace
}  // namespace vasa_cam
