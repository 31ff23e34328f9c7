// The sampler's CUDA kernels, run thread by thread on the CPU, against the CPU twin.
#include "sampler_example.h"
#include "vasa_cam/guided_update.h"

namespace vasa_cam {
namespace {

using test::SamplerExample;
using test::SamplerExampleSizes;
using test::view_of;

SamplerForm form_of(int flags) {
  return {(flags & 1) != 0, (flags & 3) == 3, (flags & 4) != 0, (flags & 8) != 0,
          (flags & 16) != 0 ? Activation::gelu : Activation::silu};
}

// About three times what was seen; the reasons are in tests/tolerances.py.
constexpr double kFloatError = 5e-6;
constexpr double kHalfError = 4e-3;
constexpr double kBFloatError = 3e-2;

constexpr int kOwnForm = 0;
constexpr int kJoyVasaForm = 31;

// "GPU" memory is the CPU's here; only the views say otherwise.
SamplerWindow on_gpu(SamplerWindow window) {
  for (TensorView* view : {&window.condition, &window.time, &window.coefficients, &window.guidance,
                           &window.position, &window.noise, &window.memory, &window.step_noise}) {
    view->device = Device::cuda;
  }
  return window;
}

TensorView on_gpu(TensorView view) {
  view.device = Device::cuda;
  return view;
}

std::vector<float> run_kernels(SamplerExample& example, DType precision) {
  const SamplerModel model(example.tensors, example.size.heads, Device::cuda, 0, precision);
  std::vector<float> out(static_cast<std::size_t>(example.size.frames * example.size.channels));
  const TensorView target = on_gpu(view_of(out, {example.size.frames, example.size.channels}));
  model.run(on_gpu(example.window), target, nullptr);
  return out;
}

std::vector<float> run_twin(SamplerExample& example) {
  const SamplerModel model(example.tensors, example.size.heads, Device::cpu, 0);
  return example.run(model);
}

// Relative to the largest number.
void expect_near(const std::vector<float>& found, const std::vector<float>& expected,
                 double allowed) {
  double most = 0.0;
  for (const float value : expected) most = std::max(most, std::abs(static_cast<double>(value)));
  for (std::size_t at = 0; at < expected.size(); ++at) {
    ASSERT_NEAR(found[at], expected[at], allowed * std::max(most, 1.0)) << "at " << at;
  }
}

TEST(SamplerKernels, Float32InEveryForm) {
  for (int flags = 0; flags < 32; ++flags) {
    if (flags % 4 == 2) continue;  // memory needs norms after the sums
    SCOPED_TRACE(flags);
    SamplerExample example({2, 12, 20, 5, 3, 2, 3, 4, 2}, form_of(flags), 7, true);
    expect_near(run_kernels(example, DType::f32), run_twin(example), kFloatError);
  }
}

TEST(SamplerKernels, Float32AtOddSizes) {
  const SamplerExampleSizes sizes[] = {
      {1, 1, 1, 1, 1, 1, 0, 1, 1},
      {1, 66, 70, 9, 1, 2, 40, 3, 2},
      {1, 200, 65, 58, 1, 1, 33, 2, 1},  // a head too wide for shared memory
  };
  for (const SamplerExampleSizes& size : sizes) {
    for (const int flags : {kOwnForm, kJoyVasaForm}) {
      SCOPED_TRACE(size.width);
      SamplerExample example(size, form_of(flags), 33, false);
      expect_near(run_kernels(example, DType::f32), run_twin(example), kFloatError);
    }
  }
}

TEST(SamplerKernels, HalfPrecisionInEveryForm) {
  for (int flags = 0; flags < 32; ++flags) {
    if (flags % 4 == 2) continue;  // memory needs norms after the sums
    SCOPED_TRACE(flags);
    SamplerExample example({2, 32, 48, 5, 2, 2, 3, 4, 2}, form_of(flags), 16, true);
    const std::vector<float> expected = run_twin(example);
    expect_near(run_kernels(example, DType::f16), expected, kHalfError);
    if (flags % 8 == 7 || flags == 0)
      expect_near(run_kernels(example, DType::bf16), expected, kBFloatError);
  }
}

TEST(SamplerKernels, HalfPrecisionAtSizesThatFillTilesAndSplits) {
  const SamplerExampleSizes sizes[] = {
      {1, 16, 16, 1, 1, 1, 0, 1, 1},       // one tile of everything
      {1, 192, 768, 54, 6, 1, 26, 1, 2},   // SMALL, live
      {1, 192, 256, 54, 6, 3, 30, 20, 1},  // rows that are no whole tiles; splits
      {1, 272, 400, 9, 1, 1, 1, 33, 1},    // inputs that are no whole tiles; a wide head
      {1, 128, 512, 73, 2, 2, 10, 40, 1},
  };
  for (const SamplerExampleSizes& size : sizes) {
    for (const int flags : {kOwnForm, kJoyVasaForm}) {
      SCOPED_TRACE(size.width);
      SamplerExample example(size, form_of(flags), size.width / 2 / 16 * 16 + 16, false);
      expect_near(run_kernels(example, DType::f16), run_twin(example), kHalfError);
    }
  }
}

TEST(SamplerKernels, WhatIsNaNStaysOne) {
  for (const int flags : {kOwnForm, kJoyVasaForm}) {
    SamplerExample example({1, 32, 48, 5, 2, 2, 3, 4, 2}, form_of(flags), 16, true);
    example.window.position.as<float>()[0] = NAN;
    for (const DType precision : {DType::f32, DType::f16}) {
      const std::vector<float> found = run_kernels(example, precision);
      EXPECT_TRUE(std::isnan(found.front()));
    }
  }
}

TEST(SamplerKernels, AGraphReplaysOnItsArrays) {
  SamplerExample example({2, 32, 48, 5, 2, 2, 3, 4, 2}, form_of(kJoyVasaForm), 16, true);
  const SamplerModel model(example.tensors, 2, Device::cuda, 0, DType::f16);
  std::vector<float> out(20);
  const auto bytes = SamplerGraph::workspace_bytes(model, 2, 3, 4);
  std::vector<std::uint8_t> memory(static_cast<std::size_t>(bytes) + 64);
  TensorView workspace = on_gpu(view_of(memory, {bytes + 64}));
  workspace.shape[0] = bytes;
  const auto offset = reinterpret_cast<std::uintptr_t>(workspace.data) % 64;
  workspace.data = memory.data() + (64 - offset) % 64;
  const SamplerGraph graph(model, on_gpu(example.window), on_gpu(view_of(out, {4, 5})), workspace);
  EXPECT_EQ(out, std::vector<float>(20));  // captured, not run
  graph.replay(nullptr);
  EXPECT_EQ(out, run_kernels(example, DType::f16));
  example.window.noise.as<float>()[3] += 1.0f;
  graph.replay(nullptr);
  EXPECT_EQ(out, run_kernels(example, DType::f16));
  workspace.data = memory.data() + (64 - offset) % 64 + 4;
  EXPECT_THROW(SamplerGraph(model, on_gpu(example.window), on_gpu(view_of(out, {4, 5})), workspace),
               std::invalid_argument);
}

TEST(SamplerKernels, RefusesWhatDoesNotFit) {
  SamplerExample example({1, 12, 20, 5, 3, 1, 2, 2, 1});
  EXPECT_THROW(SamplerModel(example.tensors, 3, Device::cuda, 0, DType::f16),
               std::invalid_argument);
  EXPECT_THROW(SamplerModel(example.tensors, 3, Device::cpu, 0, DType::f16), std::invalid_argument);
  SamplerExample long_window({1, 16, 16, 1, 1, 1, 3000, 1, 1});
  EXPECT_THROW(run_kernels(long_window, DType::f16), std::invalid_argument);
}

template <class T>
void expect_same_update(std::int64_t count, bool noisy) {
  std::vector<float> noised(static_cast<std::size_t>(count));
  std::vector<float> noise(noised.size());
  std::vector<float> weights{1.5f, -0.25f, -0.25f};
  std::vector<T> outputs(3 * noised.size());
  std::uint32_t state = 1;
  const auto next = [&state] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  };
  for (float& value : noised) value = next();
  for (float& value : noise) value = next();
  for (T& value : outputs) value = from_float<T>(next());
  std::vector<float> found(noised.size());
  std::vector<float> clean(noised.size());
  std::vector<float> expected(noised.size());
  GuidedUpdateArrays arrays;
  arrays.noised = view_of(noised, {count});
  arrays.outputs = view_of(outputs, {3, count});
  arrays.weights = view_of(weights, {3});
  if (noisy) arrays.noise = view_of(noise, {count});
  arrays.out = view_of(expected, {count});
  const UpdateCoefficients coefficients{0.6f, 0.45f, noisy ? 0.2f : 0.0f};
  guided_update(arrays, coefficients, nullptr);
  arrays.clean = view_of(clean, {count});
  arrays.out = view_of(found, {count});
  for (TensorView* view : {&arrays.noised, &arrays.outputs, &arrays.weights, &arrays.noise,
                           &arrays.clean, &arrays.out}) {
    view->device = Device::cuda;
  }
  guided_update(arrays, coefficients, nullptr);
  for (std::size_t at = 0; at < found.size(); ++at) {
    ASSERT_NEAR(found[at], expected[at], 1e-6f) << "at " << at;
    float sum = 0.0f;
    for (std::size_t pass = 0; pass < 3; ++pass) {
      sum += weights[pass] * to_float(outputs[pass * found.size() + at]);
    }
    ASSERT_NEAR(clean[at], sum, 1e-6f) << "at " << at;
  }
}

TEST(SamplerKernels, GuidedUpdateAgreesWithTheCpu) {
  for (const std::int64_t count : {1, 255, 256, 513}) {
    for (const bool noisy : {false, true}) {
      expect_same_update<float>(count, noisy);
      expect_same_update<Half>(count, noisy);
      expect_same_update<BFloat16>(count, noisy);
    }
  }
}

}  // namespace
}  // namespace vasa_cam
