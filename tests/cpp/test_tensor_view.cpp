#include <string>

#include "common/memory_block.h"
#include "test_support.h"

namespace vasa_cam {
namespace {

using test::message_of;
using test::view_of;

TEST(TensorView, ContiguousIgnoresAxesOfOneElement) {
  std::vector<float> values(12);
  TensorView view = view_of(values, {3, 1, 4});
  view.stride[1] = 999;
  EXPECT_TRUE(view.contiguous());
  view.stride[0] = 5;
  EXPECT_FALSE(view.contiguous());
}

TEST(TensorView, EmptyIsContiguous) {
  std::vector<float> none;
  TensorView view = view_of(none, {0, 4});
  view.stride[1] = 7;
  EXPECT_TRUE(view.contiguous());
}

TEST(CheckTensor, NamesWhatItExpectedAndWhatCame) {
  std::vector<std::uint8_t> values(6);
  const TensorView view = view_of(values, {2, 3});
  const auto check = [&view] {
    check_tensor(view, "op", "weights", DType::f32, Device::cpu, {kAnySize, 4});
  };
  EXPECT_EQ(message_of<std::invalid_argument>(check),
            "op: weights must be C-contiguous f32 [*, 4] on cpu, got u8 [2, 3] on cpu");
}

TEST(CheckTensor, RefusesElementsThatLieAcrossTheirSize) {
  std::vector<float> values(3);
  TensorView view = view_of(values, {3});
  view.data = reinterpret_cast<char*>(view.data) + 2;
  const auto check = [&view] { check_tensor(view, "op", "x", DType::f32, Device::cpu, {3}); };
  EXPECT_EQ(message_of<std::invalid_argument>(check),
            "op: x must be C-contiguous f32 [3] on cpu, got misaligned f32 [3] on cpu");
}

TEST(CheckTensor, AcceptsAnySizeWhereAsked) {
  std::vector<float> values(8);
  EXPECT_NO_THROW(check_tensor(view_of(values, {2, 4}), "op", "weights", DType::f32, Device::cpu,
                               {kAnySize, 4}));
}

TEST(CheckOutput, RefusesReadOnlyMemory) {
  std::vector<float> values(4);
  TensorView view = view_of(values, {4});
  view.read_only = true;
  EXPECT_THROW(check_output(view, "op", "out", DType::f32, Device::cpu, {4}),
               std::invalid_argument);
}

TEST(Layout, AlignsEveryArrayAndCountsTheSameWithoutMemory) {
  const auto take = [](Layout& layout) {
    layout.take<char>(1);
    return layout.take<float>(3);
  };
  Layout counting(nullptr);
  EXPECT_EQ(take(counting), nullptr);
  const MemoryBlock memory(counting.bytes(), Device::cpu, 0);
  Layout placing(memory.data());
  const float* second = take(placing);
  EXPECT_EQ(reinterpret_cast<const char*>(second) - memory.data(), kBlockAlignment);
  EXPECT_EQ(placing.bytes(), counting.bytes());
  EXPECT_EQ(second[2], 0.0f);
}

}  // namespace
}  // namespace vasa_cam
