// Every buffer is its own heap block of exactly the right size, so that AddressSanitizer sees a
// read or a write past the end.
#include "pixel/pixel_math.h"
#include "test_support.h"
#include "vasa_cam/pixel.h"

namespace vasa_cam {
namespace {

using test::for_each_simd_level;
using test::view_of;

std::vector<std::uint8_t> sample_frame(std::int64_t bytes) {
  std::vector<std::uint8_t> frame(static_cast<std::size_t>(bytes));
  std::uint32_t state = 12345;
  for (std::uint8_t& value : frame) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<std::uint8_t>(state >> 24);
  }
  return frame;
}

std::vector<std::uint8_t> convert(std::vector<std::uint8_t>& frame, std::int64_t height,
                                  std::int64_t width, std::int64_t channels, PixelFormat format) {
  const bool planar = is_planar(format);
  const std::int64_t out_channels = planar ? 1 : packed_channels(format);
  const std::int64_t rows = planar ? height / 2 * 3 : height;
  std::vector<std::uint8_t> out(static_cast<std::size_t>(rows * width * out_channels));
  const TensorView source = view_of(frame, {height, width, channels});
  const TensorView target =
      planar ? view_of(out, {rows, width}) : view_of(out, {rows, width, out_channels});
  pixel(source, target, format, ColourMatrix::bt601, nullptr);
  return out;
}

TEST(Pixel, WeightsKeepGreyNeutralAndWhiteWhite) {
  for (const ColourMatrix name : {ColourMatrix::bt601, ColourMatrix::bt709}) {
    const YuvMatrix matrix = matrix_of(name);
    EXPECT_EQ(matrix.blue[0] + matrix.blue[1] + matrix.blue[2], 0);
    EXPECT_EQ(matrix.red[0] + matrix.red[1] + matrix.red[2], 0);
    EXPECT_EQ(luma_of(matrix, 255, 255, 255), 235);
    EXPECT_EQ(luma_of(matrix, 0, 0, 0), 16);
    // The extremes of chroma stay inside a byte: four pixels of pure blue, of yellow.
    EXPECT_EQ(chroma_of(matrix.blue, 0, 0, 4 * 255), 240);
    EXPECT_EQ(chroma_of(matrix.blue, 4 * 255, 4 * 255, 0), 16);
  }
}

TEST(Pixel, EveryInstructionSetStaysInBoundsAndAgrees) {
  const auto formats = {PixelFormat::rgb,  PixelFormat::bgr,  PixelFormat::rgba,
                        PixelFormat::bgra, PixelFormat::i420, PixelFormat::nv12};
  for (const std::int64_t width : {2, 4, 6, 8, 14, 16, 18, 30, 32, 34, 50}) {
    for (const std::int64_t height : {2, 4, 6}) {
      for (const std::int64_t channels : {3, 4}) {
        for (const PixelFormat format : formats) {
          std::vector<std::uint8_t> frame = sample_frame(height * width * channels);
          set_simd_level(SimdLevel::baseline);
          const auto expected = convert(frame, height, width, channels, format);
          for_each_simd_level(
              [&] { EXPECT_EQ(convert(frame, height, width, channels, format), expected); });
        }
      }
    }
  }
}

TEST(Pixel, RefusesOddSizesOnlyForPlanarFormats) {
  std::vector<std::uint8_t> frame = sample_frame(3 * 5 * 3);
  EXPECT_NO_THROW(convert(frame, 3, 5, 3, PixelFormat::bgra));
  EXPECT_THROW(convert(frame, 3, 5, 3, PixelFormat::i420), std::invalid_argument);
}

TEST(Pixel, AcceptsAnEmptyFrame) {
  std::vector<std::uint8_t> none;
  EXPECT_TRUE(convert(none, 0, 4, 3, PixelFormat::i420).empty());
}

}  // namespace
}  // namespace vasa_cam
