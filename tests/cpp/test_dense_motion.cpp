// Every buffer is its own heap block of exactly the right size, so that AddressSanitizer sees a
// read or a write past the end.
#include "dense_motion/dense_motion_math.h"
#include "test_support.h"
#include "vasa_cam/dense_motion.h"

namespace vasa_cam {
namespace {

using test::for_each_simd_level;
using test::view_of;

template <class T>
std::vector<T> numbers(std::int64_t count, std::uint32_t state) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    value = from_float<T>(static_cast<float>(state >> 26) / 32.0f - 1.0f);
  }
  return values;
}

struct Results {
  std::vector<float> input;
  std::vector<float> warped;
  std::vector<float> deformation;
};

template <class T>
std::vector<float> floats_of(const std::vector<T>& values) {
  std::vector<float> floats;
  for (const T& value : values) floats.push_back(to_float(value));
  return floats;
}

template <class T>
Results run(std::int64_t width, std::int64_t keypoints, std::int64_t channels) {
  constexpr std::int64_t samples = 2;
  const std::int64_t voxels = 3 * 4 * width;
  std::vector<T> compressed = numbers<T>(voxels * 4, 1);
  std::vector<float> source = numbers<float>(keypoints * 3, 2);
  std::vector<float> driving = numbers<float>(samples * keypoints * 3, 3);
  std::vector<T> logits = numbers<T>(samples * voxels * (keypoints + 1), 4);
  std::vector<T> volume = numbers<T>(samples * voxels * channels, 5);
  const std::int64_t numbers_out = kCandidateNumbers * (keypoints + 1);
  std::vector<T> input(static_cast<std::size_t>(samples * voxels * numbers_out));
  std::vector<T> warped(volume.size());
  std::vector<float> deformation(static_cast<std::size_t>(samples * voxels * 3));
  const Keypoints points{view_of(source, {1, keypoints, 3}),
                         view_of(driving, {samples, keypoints, 3})};
  dense_motion_input(view_of(compressed, {1, 3, 4, width, 4}), points,
                     view_of(input, {samples, 3, 4, width, numbers_out}), nullptr);
  const TensorView places = view_of(deformation, {samples, 3, 4, width, 3});
  dense_motion_warp(view_of(logits, {samples, 3, 4, width, keypoints + 1}), points,
                    view_of(volume, {samples, 3, 4, width, channels}), &places,
                    view_of(warped, {samples, 3, 4, width, channels}), nullptr);
  return {floats_of(input), floats_of(warped), deformation};
}

void expect_near(const std::vector<float>& found, const std::vector<float>& expected,
                 float allowed) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t at = 0; at < found.size(); ++at) ASSERT_NEAR(found[at], expected[at], allowed);
}

template <class T>
void stays_in_bounds_and_agrees(float allowed) {
  for (const std::int64_t width : {2, 5, 16, 33}) {
    for (const std::int64_t keypoints : {1, 15, 21, 31}) {
      const std::int64_t channels = width + keypoints;
      set_simd_level(SimdLevel::baseline);
      const Results expected = run<T>(width, keypoints, channels);
      for_each_simd_level([&] {
        const Results found = run<T>(width, keypoints, channels);
        expect_near(found.input, expected.input, allowed);
        expect_near(found.warped, expected.warped, allowed);
        expect_near(found.deformation, expected.deformation, 2e-6f);
      });
    }
  }
}

TEST(DenseMotion, EveryInstructionSetStaysInBoundsAndAgrees) {
  stays_in_bounds_and_agrees<float>(2e-5f);
  stays_in_bounds_and_agrees<Half>(1e-3f);
  stays_in_bounds_and_agrees<BFloat16>(8e-3f);
}

TEST(DenseMotion, TheFirstCandidateHasNoHeatAndStays) {
  const KeypointArrays none{nullptr, nullptr, 0, 0};
  const AxisTerm first = axis_term(none, 0, 0, 0, 0, 64);
  EXPECT_EQ(first.driving_heat, 0.0f);
  // Corner-aligned places looked up between faces: voxel 0 lies half a voxel outside.
  EXPECT_EQ(first.place.low, -1);
  EXPECT_EQ(first.place.upper, 0.5f);
}

TEST(DenseMotion, HeatIsAGaussianAndFarAwayNothing) {
  EXPECT_EQ(heat_at(0.0f), 1.0f);
  EXPECT_NEAR(heat_at(0.1f), 0.60653066f, 1e-6f);
  EXPECT_EQ(heat_at(2.0f), 0.0f);
}

TEST(DenseMotion, RefusesTooManyKeypoints) {
  EXPECT_THROW(run<float>(2, 32, 4), std::invalid_argument);
  EXPECT_THROW(run<float>(1, 4, 4), std::invalid_argument);
}

}  // namespace
}  // namespace vasa_cam
