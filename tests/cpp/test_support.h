// Views of vectors, and a loop over the instruction sets of this machine.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "common/half.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/tensor_view.h"

namespace vasa_cam::test {

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<std::int8_t>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<Half>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<BFloat16>() {
  return DType::bf16;
}

template <class T>
TensorView view_of(std::vector<T>& values, std::initializer_list<std::int64_t> shape) {
  TensorView view;
  view.data = values.data();
  view.dtype = dtype_of<T>();
  view.rank = static_cast<std::int32_t>(shape.size());
  int axis = 0;
  for (const std::int64_t size : shape) view.shape[axis++] = size;
  std::int64_t packed = 1;
  for (axis = view.rank - 1; axis >= 0; --axis) {
    view.stride[axis] = packed;
    packed *= view.shape[axis];
  }
  EXPECT_EQ(static_cast<std::int64_t>(values.size()), view.numel());
  return view;
}

// Runs the body once for each instruction set that this machine has.
template <class Body>
void for_each_simd_level(Body&& body) {
  const SimdLevel before = simd_level();
  for (const SimdLevel level : {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512}) {
    if (!simd_available(level)) continue;
    SCOPED_TRACE(simd_name(level));
    set_simd_level(level);
    body();
  }
  set_simd_level(before);
}

// The message of the exception that the call throws, empty if it throws none.
template <class Exception, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace vasa_cam::test
