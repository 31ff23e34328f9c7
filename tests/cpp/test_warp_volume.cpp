// Every buffer is its own heap block of exactly the right size, so that AddressSanitizer sees a
// read or a write past the end.
#include <cmath>
#include <limits>

#include "test_support.h"
#include "vasa_cam/warp_volume.h"
#include "warp_volume/volume_math.h"

namespace vasa_cam {
namespace {

using test::for_each_simd_level;
using test::view_of;

// Multiples of 1/8 from -4 to 4: exact in every type.
template <class T>
std::vector<T> numbers(std::int64_t count, std::uint32_t state) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    value = from_float<T>(static_cast<float>(state >> 26) / 8.0f - 4.0f);
  }
  return values;
}

TEST(VolumeMath, PlacesOutsideAreNeverMadeIntegers) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float voxel : {std::nanf(""), infinity, -infinity, 1e30f, -1e30f, 5.0f, -1.001f}) {
    const AxisPlace place = place_of(voxel, 5);
    EXPECT_EQ(place.low, kFarOutside);
    EXPECT_EQ(place.upper, 0.0f);
  }
  EXPECT_EQ(place_of(-1.0f, 5).low, -1);
  EXPECT_EQ(place_of(-0.25f, 5).low, -1);
  EXPECT_EQ(place_of(-0.25f, 5).upper, 0.75f);
  EXPECT_EQ(place_of(4.75f, 5).low, 4);
}

TEST(VolumeMath, ClipsToTheBorder) {
  EXPECT_EQ(clip_to_border(-3.0f, 5), 0.0f);
  EXPECT_EQ(clip_to_border(9.0f, 5), 4.0f);
  EXPECT_EQ(clip_to_border(1.5f, 5), 1.5f);
  EXPECT_EQ(clip_to_border(std::nanf(""), 5), 4.0f);
}

template <class T>
std::vector<T> warp(std::vector<T>& volume, std::int64_t channels, std::vector<float>& grid,
                    Padding padding) {
  const auto places = static_cast<std::int64_t>(grid.size()) / 6;
  std::vector<T> out(static_cast<std::size_t>(2 * places * channels));
  warp_volume(view_of(volume, {2, 3, 4, 5, channels}), view_of(grid, {2, 1, 1, places, 3}), padding,
              false, view_of(out, {2, 1, 1, places, channels}), nullptr);
  return out;
}

template <class T>
void stays_in_bounds_and_agrees(float allowed) {
  std::vector<float> grid = numbers<float>(2 * 130 * 3, 9);
  for (float& coordinate : grid) coordinate *= 0.4f;
  grid[4] = std::nanf("");
  for (const std::int64_t channels : {1, 2, 4, 7, 8, 9, 15, 16, 17, 33}) {
    std::vector<T> volume = numbers<T>(2 * 3 * 4 * 5 * channels, 4);
    for (const Padding padding : {Padding::zeros, Padding::border}) {
      set_simd_level(SimdLevel::baseline);
      const std::vector<T> expected = warp(volume, channels, grid, padding);
      for_each_simd_level([&] {
        const std::vector<T> found = warp(volume, channels, grid, padding);
        for (std::size_t at = 0; at < found.size(); ++at) {
          ASSERT_NEAR(to_float(found[at]), to_float(expected[at]), allowed) << channels;
        }
      });
    }
  }
}

TEST(WarpVolume, EveryInstructionSetStaysInBoundsAndAgrees) {
  stays_in_bounds_and_agrees<float>(2e-5f);
  stays_in_bounds_and_agrees<Half>(4e-3f);
  stays_in_bounds_and_agrees<BFloat16>(32e-3f);
}

TEST(WarpVolume, VoxelCentresGiveTheVoxels) {
  std::vector<BFloat16> volume = numbers<BFloat16>(2 * 3 * 4 * 5 * 3, 1);
  std::vector<float> grid;
  for (int sample = 0; sample < 2; ++sample) {
    for (int voxel = 0; voxel < 60; ++voxel) {
      grid.push_back((2.0f * static_cast<float>(voxel % 5) + 1.0f) / 5.0f - 1.0f);
      grid.push_back((2.0f * static_cast<float>(voxel / 5 % 4) + 1.0f) / 4.0f - 1.0f);
      grid.push_back((2.0f * static_cast<float>(voxel / 20) + 1.0f) / 3.0f - 1.0f);
    }
  }
  for_each_simd_level([&] {
    const std::vector<BFloat16> found = warp(volume, 3, grid, Padding::border);
    for (std::size_t at = 0; at < found.size(); ++at) {
      ASSERT_NEAR(to_float(found[at]), to_float(volume[at]), 1e-5f);
    }
  });
}

TEST(WarpVolume, RefusesTwoTypesAndAnEmptyVolume) {
  std::vector<float> volume(8);
  std::vector<float> grid(3);
  std::vector<Half> out(8);
  EXPECT_THROW(warp_volume(view_of(volume, {1, 1, 1, 1, 8}), view_of(grid, {1, 1, 1, 1, 3}),
                           Padding::zeros, false, view_of(out, {1, 1, 1, 1, 8}), nullptr),
               std::invalid_argument);
  std::vector<float> none;
  EXPECT_THROW(warp_volume(view_of(none, {1, 0, 1, 1, 8}), view_of(grid, {1, 1, 1, 1, 3}),
                           Padding::zeros, false, view_of(volume, {1, 1, 1, 1, 8}), nullptr),
               std::invalid_argument);
}

}  // namespace
}  // namespace vasa_cam
