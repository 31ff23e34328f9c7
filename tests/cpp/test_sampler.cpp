#include <cmath>

#include "common/thread_pool.h"
#include "sampler/sampler_math.h"
#include "sampler_example.h"

namespace vasa_cam {
namespace {

using test::for_each_simd_level;

using Sizes = test::SamplerExampleSizes;
using Example = test::SamplerExample;

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

TEST(Sampler, EveryFormStaysInBoundsAndAgrees) {
  const Sizes sizes{2, 33, 50, 7, 3, 2, 5, 9, 2};
  for (int flags = 0; flags < 32; ++flags) {
    const SamplerForm form{(flags & 1) != 0, (flags & 3) == 3, (flags & 4) != 0, (flags & 8) != 0,
                           (flags & 16) != 0 ? Activation::gelu : Activation::silu};
    Example example(sizes, form, 21, true);
    const SamplerModel model(example.tensors, sizes.heads, Device::cpu, 0);
    set_simd_level(SimdLevel::baseline);
    const std::vector<float> expected = example.run(model);
    for_each_simd_level([&] {
      const std::vector<float> found = example.run(model);
      for (std::size_t at = 0; at < expected.size(); ++at) {
        ASSERT_NEAR(found[at], expected[at], 2e-5) << "form " << flags << " at " << at;
      }
    });
  }
}

TEST(Sampler, GeluIsOneByTheErrorFunction) {
  for (int at = -40 * 1024; at < 40 * 1024; ++at) {
    const double x = at / 1024.0;
    const double expected = 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    // Far out on the left it is a small number whose exponent has been rounded.
    ASSERT_NEAR(gelu(static_cast<float>(x)), expected, 3e-7 * std::abs(expected) + 3e-8) << x;
  }
  EXPECT_EQ(gelu(0.0f), 0.0f);
  EXPECT_TRUE(std::isnan(gelu(NAN)));
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
