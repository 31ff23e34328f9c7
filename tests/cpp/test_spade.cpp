// Every buffer is its own heap block of exactly the right size, so that AddressSanitizer sees a
// read or a write past the end.
#include <cmath>

#include "common/thread_pool.h"
#include "pixel/pixel_math.h"
#include "spade/phase_math.h"
#include "spade/spade_math.h"
#include "spade/tail_math.h"
#include "test_support.h"
#include "vasa_cam/spade.h"

namespace vasa_cam {
namespace {

using test::for_each_simd_level;
using test::view_of;

template <class T>
std::vector<T> numbers(std::int64_t count, float scale = 1.0f, float offset = 0.0f) {
  std::vector<T> values(static_cast<std::size_t>(count));
  std::uint32_t state = 12345;
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    value = from_float<T>(offset + scale * (static_cast<float>(state >> 8) / 8388608.0f - 1.0f));
  }
  return values;
}

// How far two ways of computing the same may be apart: 16-bit floats are rounded once.
template <class T>
float allowed(float value) {
  const float step = sizeof(T) == 4 ? 4e-6f : std::is_same_v<T, Half> ? 1e-3f : 8e-3f;
  return step * (1.0f + std::fabs(value));
}

struct Size {
  std::int64_t images, height, width, channels;
};

template <class T>
std::vector<float> statistics(std::vector<T>& x, const Size& size) {
  const std::int64_t parts = statistics_parts(size.height * size.width);
  std::vector<float> workspace(static_cast<std::size_t>(size.images * parts * 2 * size.channels));
  std::vector<float> out(static_cast<std::size_t>(size.images * 2 * size.channels));
  instance_statistics(view_of(x, {size.images, size.height, size.width, size.channels}),
                      view_of(workspace, {size.images, parts, 2, size.channels}),
                      view_of(out, {size.images, 2, size.channels}), nullptr);
  return out;
}

template <class T>
void check_statistics(const Size& size) {
  std::vector<T> x = numbers<T>(size.images * size.height * size.width * size.channels, 2.0f, 5.0f);
  const std::int64_t pixels = size.height * size.width;
  for_each_simd_level([&] {
    for (const int threads : {1, 3}) {
      set_num_threads(threads);
      const std::vector<float> found = statistics(x, size);
      for (std::int64_t image = 0; image < size.images; ++image) {
        for (std::int64_t channel = 0; channel < size.channels; ++channel) {
          const auto value = [&](std::int64_t pixel) {
            const std::int64_t at = (image * pixels + pixel) * size.channels + channel;
            return static_cast<double>(to_float(x[static_cast<std::size_t>(at)]));
          };
          double mean = 0;
          for (std::int64_t pixel = 0; pixel < pixels; ++pixel) mean += value(pixel);
          mean /= static_cast<double>(pixels);
          double squares = 0;
          for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
            squares += (value(pixel) - mean) * (value(pixel) - mean);
          }
          const double rstd =
              1.0 / std::sqrt(squares / static_cast<double>(pixels) + kVarianceEpsilon);
          const auto at = static_cast<std::size_t>(image * 2 * size.channels + channel);
          EXPECT_NEAR(found[at], mean, 1e-5);
          EXPECT_NEAR(found[at + static_cast<std::size_t>(size.channels)] / rstd, 1.0, 1e-5);
        }
      }
    }
  });
  set_num_threads(2);
}

TEST(Spade, StatisticsOfEveryTypeStayInBounds) {
  for (const Size& size : {Size{1, 1, 1, 1}, Size{2, 5, 7, 3}, Size{1, 17, 31, 19},
                           Size{1, 16, 16, 64}, Size{2, 33, 8, 72}, Size{1, 1, 513, 65}}) {
    check_statistics<float>(size);
    check_statistics<Half>(size);
    check_statistics<BFloat16>(size);
  }
}

TEST(Spade, JoiningSetsIsTheSetOfAll) {
  const double values[] = {3.0, -1.0, 4.0, 1.5, -9.0, 2.0, 6.0};
  double mean = 0;
  double squares = 0;
  double seen = 0;
  for (const double value : values) {
    join(join_weights(seen, 1.0), value, 0.0, &mean, &squares);
    seen += 1;
  }
  EXPECT_NEAR(mean, 6.5 / 7, 1e-14);
  double expected = 0;
  for (const double value : values) expected += (value - mean) * (value - mean);
  EXPECT_NEAR(squares, expected, 1e-12);
  // Nothing joined to nothing is nothing.
  float none = 0;
  float also = 0;
  join(join_weights(0.0f, 0.0f), 0.0f, 0.0f, &none, &also);
  EXPECT_EQ(none, 0.0f);
  EXPECT_EQ(also, 0.0f);
}

template <class T>
void check_modulation(const Size& size, std::int64_t factor, bool biased, float slope) {
  const std::int64_t height = factor * size.height;
  const std::int64_t width = factor * size.width;
  const std::int64_t pixels = size.images * height * width;
  std::vector<T> x = numbers<T>(size.images * size.height * size.width * size.channels, 3.0f);
  std::vector<T> maps = numbers<T>(pixels * 2 * size.channels);
  std::vector<float> bias = numbers<float>(2 * size.channels, 0.5f);
  std::vector<float> stats = numbers<float>(size.images * 2 * size.channels, 0.5f, 1.0f);
  std::vector<T> out(static_cast<std::size_t>(pixels * size.channels));
  SpadeTensors tensors;
  tensors.x = view_of(x, {size.images, size.height, size.width, size.channels});
  tensors.statistics = view_of(stats, {size.images, 2, size.channels});
  tensors.gamma_beta = view_of(maps, {size.images, height, width, 2 * size.channels});
  if (biased) tensors.bias = view_of(bias, {2 * size.channels});
  for_each_simd_level([&] {
    spade_modulate(tensors, slope, view_of(out, {size.images, height, width, size.channels}),
                   nullptr);
    for (std::int64_t at = 0; at < pixels * size.channels; ++at) {
      const std::int64_t channel = at % size.channels;
      const std::int64_t pixel = at / size.channels;
      const std::int64_t image = pixel / (height * width);
      const std::int64_t small =
          (image * size.height + pixel / width % height / factor) * size.width +
          pixel % width / factor;
      const auto take = [](const auto& from, std::int64_t index) {
        return to_float(from[static_cast<std::size_t>(index)]);
      };
      const float expected = modulate(
          take(x, small * size.channels + channel),
          take(stats, image * 2 * size.channels + channel),
          take(stats, (image * 2 + 1) * size.channels + channel),
          take(maps, pixel * 2 * size.channels + channel) + (biased ? take(bias, channel) : 0.0f),
          take(maps, (pixel * 2 + 1) * size.channels + channel) +
              (biased ? take(bias, size.channels + channel) : 0.0f),
          slope);
      ASSERT_NEAR(take(out, at), expected, 3 * allowed<T>(expected)) << at;
    }
  });
}

TEST(Spade, ModulationOfEveryTypeStaysInBounds) {
  for (const Size& size :
       {Size{1, 1, 1, 1}, Size{2, 3, 5, 7}, Size{1, 2, 9, 33}, Size{2, 4, 6, 64}}) {
    for (const std::int64_t factor : {1, 2}) {
      for (const bool biased : {false, true}) {
        check_modulation<float>(size, factor, biased, 0.2f);
        check_modulation<Half>(size, factor, biased, 1.0f);
        check_modulation<BFloat16>(size, factor, biased, 0.2f);
      }
    }
  }
}

// Parts hold the numbers that say where they come from, so that every pixel names its source.
template <class T>
void check_phases(const Size& size, std::int32_t factor, std::int64_t groups) {
  const auto [images, height, width, channels] = size;
  std::vector<std::vector<T>> memory;
  std::vector<TensorView> parts;
  memory.reserve(4);
  const auto add = [&](std::int64_t rows, std::int64_t columns, std::int64_t numbers_of_cell) {
    memory.push_back(numbers<T>(images * rows * columns * numbers_of_cell));
    parts.push_back(view_of(memory.back(), {images, rows, columns, numbers_of_cell}));
  };
  if (factor == 1) add(height, width, channels);
  if (factor > 1) add(height + 1, width + 1, 4 * channels);
  if (factor == 4) {
    add(height + 1, width, 2 * channels);
    add(height, width + 1, 2 * channels);
    add(height, width, channels);
  }
  std::vector<float> bias = numbers<float>(channels, 0.3f);
  std::vector<T> out(
      static_cast<std::size_t>(images * factor * height * factor * width * channels));
  PhaseParams p{};
  p.corners = factor > 1 ? memory[0].data() : nullptr;
  p.rows = factor == 4 ? memory[1].data() : nullptr;
  p.columns = factor == 4 ? memory[2].data() : nullptr;
  p.insides = factor == 2 ? nullptr : memory.back().data();
  p.height = height;
  p.width = width;
  p.channels = channels;
  for_each_simd_level([&] {
    phase_expand(parts, view_of(bias, {channels}), factor, true,
                 view_of(out, {groups, images, factor * height, factor * width, channels / groups}),
                 nullptr);
    std::size_t at = 0;
    for (std::int64_t group = 0; group < groups; ++group) {
      for (std::int64_t image = 0; image < images; ++image) {
        for (std::int64_t y = 0; y < factor * height; ++y) {
          for (std::int64_t x = 0; x < factor * width; ++x) {
            const PhaseSource source =
                phase_source(p, image, phase_axis(factor, y / factor, y % factor),
                             phase_axis(factor, x / factor, x % factor));
            for (std::int64_t channel = group * channels / groups;
                 channel < (group + 1) * channels / groups; ++channel, ++at) {
              const float sum =
                  to_float(static_cast<const T*>(source.part)[source.offset + channel]) +
                  bias[static_cast<std::size_t>(channel)];
              ASSERT_EQ(to_float(out[at]), to_float(from_float<T>(sum < 0 ? 0 : sum)))
                  << factor << " " << y << " " << x;
            }
          }
        }
      }
    }
  });
}

TEST(Spade, EveryPhaseComesFromItsPlaceWithinBounds) {
  for (const std::int32_t factor : {1, 2, 4}) {
    for (const Size& size : {Size{1, 1, 1, 1}, Size{2, 3, 2, 6}, Size{1, 4, 5, 34}}) {
      check_phases<float>(size, factor, 1);
      check_phases<Half>(size, factor, size.channels % 2 == 0 ? 2 : 1);
      check_phases<BFloat16>(size, factor, size.channels);
    }
  }
}

template <class T>
void check_tail(std::int64_t images, std::int64_t height, std::int64_t width,
                std::int64_t channels) {
  std::vector<T> x = numbers<T>(images * height * width * channels, 8.0f);
  const auto bytes = static_cast<std::size_t>(images * height * width * 12);
  std::vector<std::uint8_t> rgb(bytes);
  std::vector<std::uint8_t> planes(bytes / 2);
  const TensorView input = view_of(x, {images, height, width, channels});
  for_each_simd_level([&] {
    decoder_tail(input, view_of(rgb, {images, 2 * height, 2 * width, 3}), PixelFormat::rgb,
                 ColourMatrix::bt601, nullptr);
    decoder_tail(input, view_of(planes, {images, 3 * height, 2 * width}), PixelFormat::i420,
                 ColourMatrix::bt601, nullptr);
    for (std::int64_t at = 0; at < images * height * width * 12; ++at) {
      const std::int64_t colour = at % 3;
      const std::int64_t column = at / 3 % (2 * width);
      const std::int64_t row = at / (6 * width);  // of all images
      const std::int64_t cell = row / 2 * width + column / 2;
      const float number = to_float(
          x[static_cast<std::size_t>(cell * channels + colour * 4 + row % 2 * 2 + column % 2)]);
      const double level = 255.0 / (1.0 + std::exp(-static_cast<double>(number)));
      ASSERT_NEAR(rgb[static_cast<std::size_t>(at)], std::floor(level), 1) << at;
    }
    std::vector<std::uint8_t> expected;
    const auto size = static_cast<std::ptrdiff_t>(height * width * 12);
    for (auto from = rgb.begin(); from != rgb.end(); from += size) {
      std::vector<std::uint8_t> picture(from, from + size);
      std::vector<std::uint8_t> converted(picture.size() / 2);
      pixel(view_of(picture, {2 * height, 2 * width, 3}),
            view_of(converted, {3 * height, 2 * width}), PixelFormat::i420, ColourMatrix::bt601,
            nullptr);
      expected.insert(expected.end(), converted.begin(), converted.end());
    }
    EXPECT_EQ(planes, expected);
  });
}

TEST(Spade, TheTailIsThePixelOpOfItsPicture) {
  check_tail<float>(1, 1, 1, 12);
  check_tail<float>(2, 3, 5, 15);
  check_tail<Half>(1, 2, 65, 12);
  check_tail<BFloat16>(1, 5, 130, 16);
}

TEST(Spade, LevelsAtTheEnds) {
  EXPECT_EQ(level_of(INFINITY), 255);
  EXPECT_EQ(level_of(-INFINITY), 0);
  EXPECT_EQ(level_of(NAN), 0);
  EXPECT_EQ(level_of(0.0f), 127);
  EXPECT_EQ(level_of(40.0f), 255);
  EXPECT_EQ(level_of(-200.0f), 0);
}

TEST(Spade, RefusesWhatDoesNotFit) {
  std::vector<float> x(2 * 3 * 3 * 4);
  std::vector<float> stats(2 * 2 * 4);
  std::vector<float> workspace(2 * 1 * 2 * 4);
  const TensorView input = view_of(x, {2, 3, 3, 4});
  EXPECT_THROW(instance_statistics(input, view_of(workspace, {2, 1, 2, 4}),
                                   view_of(stats, {2, 4, 2}), nullptr),
               std::invalid_argument);
  const auto in_place = [&] {
    SpadeTensors tensors;
    tensors.x = input;
    tensors.statistics = view_of(stats, {2, 2, 4});
    std::vector<float> maps(2 * 3 * 3 * 8);
    tensors.gamma_beta = view_of(maps, {2, 3, 3, 8});
    spade_modulate(tensors, 0.2f, input, nullptr);
  };
  EXPECT_EQ(test::message_of<std::invalid_argument>(in_place),
            "spade_modulate: out must not share memory with an input");
  std::vector<float> bias(4);
  std::vector<float> out(2 * 6 * 6 * 4);
  const auto three = [&] {
    phase_expand({input}, view_of(bias, {4}), 3, true, view_of(out, {2, 6, 6, 4}), nullptr);
  };
  EXPECT_EQ(test::message_of<std::invalid_argument>(three),
            "phase_expand: factor must be 1, 2 or 4");
  std::vector<std::uint8_t> bytes(12);
  std::vector<std::uint8_t> picture(12);
  EXPECT_THROW(decoder_tail(view_of(bytes, {1, 1, 1, 12}), view_of(picture, {1, 2, 2, 3}),
                            PixelFormat::rgb, ColourMatrix::bt601, nullptr),
               std::invalid_argument);
}

TEST(Spade, AcceptsNothing) {
  std::vector<float> none;
  EXPECT_TRUE(statistics(none, {0, 4, 4, 8}).empty());
  std::vector<std::uint8_t> bytes;
  decoder_tail(view_of(none, {1, 0, 4, 12}), view_of(bytes, {1, 0, 8, 3}), PixelFormat::rgb,
               ColourMatrix::bt601, nullptr);
}

}  // namespace
}  // namespace vasa_cam
