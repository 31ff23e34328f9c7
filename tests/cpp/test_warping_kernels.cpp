// The CUDA kernels of warp_volume and dense_motion, run thread by thread on the CPU, against the
// CPU twins. Arrays lie at the end of their own heap block, so that AddressSanitizer sees what is
// read or written past it.
#include <cmath>
#include <limits>

#include "test_support.h"
#include "vasa_cam/dense_motion.h"
#include "vasa_cam/warp_volume.h"

namespace vasa_cam {
namespace {

// An array whose first element lies on 16 bytes, or one element behind such an address.
template <class T>
class Numbers {
 public:
  Numbers(std::initializer_list<std::int64_t> shape, bool apart, float scale = 1.0f)
      : skipped_(apart ? 1 : 0), shape_(shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    memory_.resize(static_cast<std::size_t>(count) + skipped_);
    std::uint32_t state = 4711;
    for (T& value : memory_) {
      state = state * 1664525u + 1013904223u;
      value = from_float<T>(scale * (static_cast<float>(state >> 8) / 8388608.0f - 1.0f));
    }
  }

  TensorView on(Device device) {
    TensorView view;
    view.data = begin();
    view.dtype = test::dtype_of<T>();
    view.device = device;
    view.rank = static_cast<std::int32_t>(shape_.size());
    std::int64_t packed = 1;
    for (int axis = view.rank - 1; axis >= 0; --axis) {
      view.shape[axis] = shape_[static_cast<std::size_t>(axis)];
      view.stride[axis] = packed;
      packed *= view.shape[axis];
    }
    return view;
  }
  T* begin() { return memory_.data() + skipped_; }
  std::size_t size() const { return memory_.size() - skipped_; }

 private:
  std::size_t skipped_;
  std::vector<std::int64_t> shape_;
  std::vector<T> memory_;
};

// Twice a rounding of the type, for values up to 4.
template <class T>
constexpr float kAllowed = 4e-5f;
template <>
constexpr float kAllowed<Half> = 4e-3f;
template <>
constexpr float kAllowed<BFloat16> = 32e-3f;

template <class T>
void expect_same(Numbers<T>& found, Numbers<T>& expected) {
  for (std::size_t at = 0; at < expected.size(); ++at) {
    const float wanted = to_float(expected.begin()[at]);
    const float came = to_float(found.begin()[at]);
    ASSERT_EQ(std::isnan(came), std::isnan(wanted)) << "at " << at;
    if (!std::isnan(wanted)) {
      ASSERT_NEAR(came, wanted, kAllowed<T>) << "at " << at;
    }
  }
}

template <class T>
void check_warp(std::int64_t channels, std::int64_t places, bool shared, bool apart) {
  SCOPED_TRACE(channels);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  Numbers<T> volume({shared ? 1 : 3, 3, 4, 17, channels}, apart);
  Numbers<float> grid({3, 1, 1, places, 3}, apart, 1.6f);
  const float unusual[] = {NAN, infinity, -infinity, 1e30f, -1e30f, -1.0f, 1.0f};
  for (std::size_t at = 0; at < grid.size(); at += 11) grid.begin()[at] = unusual[at % 7];
  for (const Padding padding : {Padding::zeros, Padding::border}) {
    for (const bool align_corners : {false, true}) {
      Numbers<T> found({3, 1, 1, places, channels}, apart);
      Numbers<T> expected({3, 1, 1, places, channels}, apart, 9.0f);
      const auto run = [&](Numbers<T>& out, Device device) {
        warp_volume(volume.on(device), grid.on(device), padding, align_corners, out.on(device),
                    nullptr);
      };
      run(found, Device::cuda);
      run(expected, Device::cpu);
      expect_same(found, expected);
    }
  }
}

template <class T>
void check_warps() {
  for (const bool apart : {false, true}) {
    for (const std::int64_t channels : {1, 3, 8, 32, 40}) {
      check_warp<T>(channels, 150, apart, apart);
    }
    check_warp<T>(300, 5, true, apart);  // fewer threads than a place has packs, or channels
    check_warp<T>(2056, 2, true, apart);
  }
}

TEST(WarpVolumeKernels, Float32) { check_warps<float>(); }
TEST(WarpVolumeKernels, Float16) { check_warps<Half>(); }
TEST(WarpVolumeKernels, BFloat16) { check_warps<BFloat16>(); }

struct MotionSize {
  std::int64_t depth, height, width, keypoints, channels;
};

template <class T>
void check_motion(const MotionSize& s, bool shared, bool apart) {
  SCOPED_TRACE(s.keypoints);
  constexpr std::int64_t samples = 2;
  const std::int64_t still = shared ? 1 : samples;
  Numbers<float> source({still, s.keypoints, 3}, apart, 0.9f);
  Numbers<float> driving({samples, s.keypoints, 3}, apart, 0.8f);
  const auto points = [&](Device device) {
    return Keypoints{source.on(device), driving.on(device)};
  };

  Numbers<T> compressed({still, s.depth, s.height, s.width, 4}, apart);
  const std::int64_t numbers = 5 * (s.keypoints + 1);
  Numbers<T> found({samples, s.depth, s.height, s.width, numbers}, apart);
  Numbers<T> expected({samples, s.depth, s.height, s.width, numbers}, apart, 9.0f);
  driving.begin()[1] = NAN;
  dense_motion_input(compressed.on(Device::cuda), points(Device::cuda), found.on(Device::cuda),
                     nullptr);
  dense_motion_input(compressed.on(Device::cpu), points(Device::cpu), expected.on(Device::cpu),
                     nullptr);
  expect_same(found, expected);

  driving.begin()[1] = 0.25f;
  Numbers<T> logits({samples, s.depth, s.height, s.width, s.keypoints + 1}, apart, 3.0f);
  logits.begin()[logits.size() / 2] = from_float<T>(NAN);
  Numbers<T> volume({still, s.depth, s.height, s.width, s.channels}, apart);
  Numbers<T> warped({samples, s.depth, s.height, s.width, s.channels}, apart);
  Numbers<T> wanted({samples, s.depth, s.height, s.width, s.channels}, apart, 9.0f);
  Numbers<float> places({samples, s.depth, s.height, s.width, 3}, apart);
  Numbers<float> wanted_places({samples, s.depth, s.height, s.width, 3}, apart, 9.0f);
  const auto warp = [&](Numbers<T>& out, Numbers<float>& deformation, Device device) {
    const TensorView where = deformation.on(device);
    dense_motion_warp(logits.on(device), points(device), volume.on(device), &where, out.on(device),
                      nullptr);
  };
  warp(warped, places, Device::cuda);
  warp(wanted, wanted_places, Device::cpu);
  expect_same(places, wanted_places);
  expect_same(warped, wanted);
}

template <class T>
void check_motions() {
  for (const bool apart : {false, true}) {
    check_motion<T>({5, 3, 37, 21, 32}, apart, apart);
    check_motion<T>({2, 2, 2, 1, 3}, true, apart);
    check_motion<T>({7, 3, 65, 31, 40}, false, apart);
    check_motion<T>({9, 2, 64, 21, 32}, true, apart);
  }
}

TEST(DenseMotionKernels, Float32) { check_motions<float>(); }
TEST(DenseMotionKernels, Float16) { check_motions<Half>(); }
TEST(DenseMotionKernels, BFloat16) { check_motions<BFloat16>(); }

}  // namespace
}  // namespace vasa_cam
