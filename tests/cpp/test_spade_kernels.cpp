// The CUDA kernels of spade, run thread by thread on the CPU, against the CPU twin. Arrays lie at
// the end of their own heap block, so that AddressSanitizer sees what is read or written past it.
#include <cmath>

#include "test_support.h"
#include "vasa_cam/spade.h"

namespace vasa_cam {
namespace {

// An array whose first element lies on 16 bytes, or one element behind such an address.
template <class T>
class Numbers {
 public:
  Numbers(std::initializer_list<std::int64_t> shape, bool apart, float scale = 1.0f,
          float offset = 0.0f)
      : skipped_(apart ? 1 : 0) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    memory_.resize(static_cast<std::size_t>(count) + skipped_);
    std::uint32_t state = 4711;
    for (T& value : memory_) {
      state = state * 1664525u + 1013904223u;
      const float number = offset + scale * (static_cast<float>(state >> 8) / 8388608.0f - 1.0f);
      if constexpr (std::is_same_v<T, std::uint8_t>) {
        value = static_cast<std::uint8_t>(state >> 24);
      } else {
        value = from_float<T>(number);
      }
    }
    view_.data = memory_.data() + skipped_;
    view_.dtype = test::dtype_of<T>();
    view_.rank = static_cast<std::int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), view_.shape);
    std::int64_t packed = 1;
    for (int axis = view_.rank - 1; axis >= 0; --axis) {
      view_.stride[axis] = packed;
      packed *= view_.shape[axis];
    }
  }

  TensorView on(Device device) const {
    TensorView view = view_;
    view.device = device;
    return view;
  }
  const T* begin() const { return memory_.data() + skipped_; }
  std::int64_t size() const { return view_.numel(); }

 private:
  std::size_t skipped_;
  std::vector<T> memory_;
  TensorView view_;
};

template <class T>
double number(T value) {
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    return value;
  } else {
    return to_float(value);
  }
}

// Of 16-bit floats, one rounding to the other side.
template <class T>
void expect_same(const Numbers<T>& found, const Numbers<T>& expected) {
  const double step = std::is_same_v<T, std::uint8_t> ? 1.0
                      : sizeof(T) == 4                ? 2e-6
                      : std::is_same_v<T, Half>       ? 1e-3
                                                      : 8e-3;
  for (std::int64_t at = 0; at < expected.size(); ++at) {
    const double wanted = number(expected.begin()[at]);
    const double allowed = std::is_same_v<T, std::uint8_t> ? step : step * (1 + std::fabs(wanted));
    ASSERT_NEAR(number(found.begin()[at]), wanted, allowed) << "at " << at;
  }
}

struct Size {
  std::int64_t images, height, width, channels;
};

// Channels of whole packs and not; more pixels than one part and one row of threads take.
constexpr Size kSizes[] = {
    {1, 1, 1, 1}, {2, 3, 5, 8}, {1, 17, 31, 20}, {2, 5, 7, 3}, {1, 9, 40, 72}};

template <class T>
void check_norm(const Size& size, std::int64_t factor, bool biased, bool apart) {
  const auto [n, h, w, c] = size;
  const Numbers<T> x({n, h, w, c}, apart, 2.0f, 5.0f);
  const Numbers<T> maps({n, factor * h, factor * w, 2 * c}, apart);
  const Numbers<float> bias({2 * c}, apart, 0.5f);
  const std::int64_t parts = statistics_parts(h * w);
  Numbers<float> statistics[2] = {{{n, 2, c}, apart}, {{n, 2, c}, apart}};
  Numbers<T> out[2] = {{{n, factor * h, factor * w, c}, apart},
                       {{n, factor * h, factor * w, c}, apart}};
  for (const Device device : {Device::cpu, Device::cuda}) {
    const int which = device == Device::cuda ? 1 : 0;
    const Numbers<float> workspace({n, parts, 2, c}, apart);
    instance_statistics(x.on(device), workspace.on(device), statistics[which].on(device), nullptr);
    SpadeTensors tensors{x.on(device), statistics[0].on(device), maps.on(device), {}};
    if (biased) tensors.bias = bias.on(device);
    spade_modulate(tensors, 0.2f, out[which].on(device), nullptr);
  }
  expect_same(statistics[1], statistics[0]);
  expect_same(out[1], out[0]);
}

TEST(SpadeKernels, NormsAreThoseOfTheCpu) {
  for (const Size& size : kSizes) {
    for (const bool apart : {false, true}) {
      for (const std::int64_t factor : {1, 2}) {
        check_norm<float>(size, factor, true, apart);
        check_norm<Half>(size, factor, false, apart);
        check_norm<BFloat16>(size, factor, true, apart);
      }
    }
  }
}

template <class T>
void check_expansion(const Size& size, std::int32_t factor, std::int64_t groups, bool apart) {
  const auto [n, h, w, c] = size;
  std::vector<Numbers<T>> parts;
  if (factor == 1) parts.push_back({{n, h, w, c}, apart});
  if (factor > 1) parts.push_back({{n, h + 1, w + 1, 4 * c}, apart});
  if (factor == 4) {
    parts.push_back({{n, h + 1, w, 2 * c}, apart});
    parts.push_back({{n, h, w + 1, 2 * c}, apart});
    parts.push_back({{n, h, w, c}, apart});
  }
  const Numbers<float> bias({c}, apart);
  const std::initializer_list<std::int64_t> shape = {groups, n, factor * h, factor * w, c / groups};
  const Numbers<T> out[2] = {{shape, apart}, {shape, apart}};
  for (const Device device : {Device::cpu, Device::cuda}) {
    std::vector<TensorView> views;
    for (const Numbers<T>& part : parts) views.push_back(part.on(device));
    phase_expand(views, bias.on(device), factor, true,
                 out[device == Device::cuda ? 1 : 0].on(device), nullptr);
  }
  expect_same(out[1], out[0]);
}

TEST(SpadeKernels, ExpansionIsThatOfTheCpu) {
  for (const Size& size : kSizes) {
    for (const bool apart : {false, true}) {
      for (const std::int32_t factor : {1, 2, 4}) {
        check_expansion<float>(size, factor, 1, apart);
        check_expansion<Half>(size, factor, size.channels % 2 == 0 ? 2 : 1, apart);
        check_expansion<BFloat16>(size, factor, size.channels, apart);
      }
    }
  }
}

template <class T>
void check_tail(const Size& size, bool apart) {
  const auto [n, h, w, c] = size;
  const Numbers<T> x({n, h, w, c}, apart, 8.0f);
  for (const PixelFormat format : {PixelFormat::rgb, PixelFormat::i420}) {
    const auto target = [&] {
      return format == PixelFormat::rgb ? Numbers<std::uint8_t>({n, 2 * h, 2 * w, 3}, apart)
                                        : Numbers<std::uint8_t>({n, 3 * h, 2 * w}, apart);
    };
    const Numbers<std::uint8_t> out[2] = {target(), target()};
    for (const Device device : {Device::cpu, Device::cuda}) {
      decoder_tail(x.on(device), out[device == Device::cuda ? 1 : 0].on(device), format,
                   ColourMatrix::bt709, nullptr);
    }
    expect_same(out[1], out[0]);
  }
}

TEST(SpadeKernels, TheTailIsThatOfTheCpu) {
  for (const std::int64_t channels : {12, 13, 16}) {
    for (const bool apart : {false, true}) {
      check_tail<float>({2, 5, 3, channels}, apart);
      check_tail<Half>({1, 1, 1, channels}, apart);
      check_tail<BFloat16>({1, 9, 40, channels}, apart);
    }
  }
}

}  // namespace
}  // namespace vasa_cam
