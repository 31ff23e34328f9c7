// Every buffer is its own heap block of exactly the right size, so that AddressSanitizer sees a
// read or a write past the end.
#include <cmath>
#include <deque>

#include "common/thread_pool.h"
#include "sampler/sampler_math.h"
#include "test_support.h"
#include "vasa_cam/sampler.h"

namespace vasa_cam {
namespace {

using test::for_each_simd_level;
using test::view_of;

struct Sizes {
  std::int64_t layers, width, hidden, channels, heads;
  std::int64_t passes, condition, frames, steps;
};

// Random numbers and the views of them that make a network and a window.
class Example {
 public:
  explicit Example(const Sizes& s) : size(s) {
    tensors.noisy = affine(s.width, s.channels);
    for (std::int64_t layer = 0; layer < s.layers; ++layer) {
      tensors.layers.push_back({norm(s.width), affine(3 * s.width, s.width),
                                affine(s.width, s.width), norm(s.width), affine(s.hidden, s.width),
                                affine(s.width, s.hidden)});
    }
    tensors.final_norm = norm(s.width);
    tensors.head = affine(s.channels, s.width);
    window = {numbers({s.passes, s.condition, s.width}, 1.0f),
              numbers({s.steps, s.width}, 1.0f),
              numbers({s.steps, 2}, 0.5f),
              numbers({s.passes}, 1.0f),
              numbers({s.frames, s.width}, 1.0f),
              numbers({s.frames, s.channels}, 1.0f)};
  }

  std::vector<float> run(const SamplerModel& model) {
    std::vector<float> out(static_cast<std::size_t>(size.frames * size.channels));
    model.run(window, view_of(out, {size.frames, size.channels}), nullptr);
    return out;
  }

  TensorView numbers(std::initializer_list<std::int64_t> shape, float scale) {
    std::int64_t count = 1;
    for (const std::int64_t axis : shape) count *= axis;
    std::vector<float>& values = memory_.emplace_back(static_cast<std::size_t>(count));
    for (float& value : values) {
      state_ = state_ * 1664525u + 1013904223u;
      value = scale * (static_cast<float>(state_ >> 8) / 8388608.0f - 1.0f);
    }
    return view_of(values, shape);
  }

  Sizes size;
  SamplerTensors tensors;
  SamplerWindow window;

 private:
  AffineTensors affine(std::int64_t outputs, std::int64_t inputs) {
    return {numbers({outputs, inputs}, 1.7f / std::sqrt(static_cast<float>(inputs))),
            numbers({outputs}, 0.3f)};
  }
  AffineTensors norm(std::int64_t width) {
    const AffineTensors made{numbers({width}, 0.5f), numbers({width}, 0.3f)};
    for (std::int64_t at = 0; at < width; ++at) made.weight.as<float>()[at] += 1.0f;
    return made;
  }

  std::deque<std::vector<float>> memory_;
  std::uint32_t state_ = 1;
};

TEST(Sampler, PowerOfTwoIsOneWithinItsError) {
  for (int at = -126 * 4096; at < 127 * 4096; ++at) {
    const float x = static_cast<float>(at) / 4096.0f;
    const double expected = std::exp2(static_cast<double>(x));
    ASSERT_NEAR(power_of_two(x) / expected, 1.0, 2e-7) << x;
  }
  EXPECT_EQ(power_of_two(0.0f), 1.0f);
  EXPECT_TRUE(std::isfinite(power_of_two(INFINITY)));
  EXPECT_LT(power_of_two(-INFINITY), 2e-38f);
  EXPECT_TRUE(std::isnan(power_of_two(NAN)));
  EXPECT_TRUE(std::isnan(power_of_two(float_of(0x7fc00001u))));
}

TEST(Sampler, TokenRowsAreTheLastOfEveryPass) {
  const TokenRows last{7, 2};
  const std::vector<std::int64_t> expected{5, 6, 12, 13, 19, 20};
  for (std::size_t index = 0; index < expected.size(); ++index) {
    EXPECT_EQ(last.row(static_cast<std::int64_t>(index)), expected[index]);
  }
  EXPECT_EQ((TokenRows{7, 7}.row(12)), 12);
}

TEST(Sampler, EveryInstructionSetStaysInBoundsAndAgrees) {
  const Sizes examples[] = {
      {1, 1, 1, 1, 1, 1, 0, 1, 1},        {2, 12, 20, 5, 3, 2, 6, 3, 3},
      {1, 96, 33, 31, 1, 1, 31, 2, 2},    {2, 64, 130, 54, 2, 3, 20, 13, 2},
      {1, 128, 256, 58, 2, 2, 70, 40, 1}, {3, 33, 50, 7, 3, 1, 0, 29, 2},
  };
  for (const Sizes& size : examples) {
    Example example(size);
    const SamplerModel model(example.tensors, size.heads, Device::cpu, 0);
    set_simd_level(SimdLevel::baseline);
    const std::vector<float> expected = example.run(model);
    for_each_simd_level([&] {
      for (const int threads : {1, 3}) {
        set_num_threads(threads);
        const std::vector<float> found = example.run(model);
        for (std::size_t at = 0; at < expected.size(); ++at) {
          EXPECT_NEAR(found[at], expected[at], 2e-5) << size.width << " at " << at;
        }
      }
    });
  }
  set_num_threads(2);
}

TEST(Sampler, AnEmptyWindowTouchesNothing) {
  Example example({1, 8, 8, 4, 2, 1, 3, 0, 2});
  const SamplerModel model(example.tensors, 2, Device::cpu, 0);
  EXPECT_TRUE(example.run(model).empty());
}

TEST(Sampler, RefusesTensorsThatDoNotFit) {
  const Sizes size{1, 8, 8, 4, 2, 1, 3, 2, 2};
  Example example(size);
  EXPECT_THROW(SamplerModel(example.tensors, 3, Device::cpu, 0), std::invalid_argument);
  SamplerTensors broken = example.tensors;
  broken.layers.front().down = broken.layers.front().qkv;
  const auto make = [&] { SamplerModel(broken, 2, Device::cpu, 0); };
  EXPECT_EQ(test::message_of<std::invalid_argument>(make),
            "SamplerModel: down must be C-contiguous f32 [8, 8] on cpu, got f32 [24, 8] on cpu");
  broken = example.tensors;
  broken.layers.clear();
  EXPECT_THROW(SamplerModel(broken, 2, Device::cpu, 0), std::invalid_argument);
}

TEST(Sampler, RefusesWindowsThatDoNotFit) {
  Example example({1, 8, 8, 4, 2, 1, 3, 2, 2});
  const SamplerModel model(example.tensors, 2, Device::cpu, 0);
  example.window.guidance = example.numbers({2}, 1.0f);
  EXPECT_THROW(example.run(model), std::invalid_argument);
}

#ifndef VASA_CAM_WITH_CUDA
TEST(Sampler, SaysThatThisBuildHasNoCuda) {
  Example example({1, 8, 8, 4, 2, 1, 3, 2, 2});
  const auto make = [&] { SamplerModel(example.tensors, 2, Device::cuda, 0); };
  EXPECT_NE(test::message_of<std::runtime_error>(make).find("no CUDA"), std::string::npos);
}
#endif

}  // namespace
}  // namespace vasa_cam
