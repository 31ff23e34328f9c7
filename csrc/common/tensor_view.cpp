#include "vasa_cam/tensor_view.h"

#include <string>

#include "vasa_cam/error.h"

namespace vasa_cam {
namespace {

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
      return "u8";
    case DType::i8:
      return "i8";
    case DType::i32:
      return "i32";
    case DType::f32:
      return "f32";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
  }
  throw std::logic_error("unknown DType");
}

std::uintptr_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
    case DType::i8:
      return 1;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i32:
    case DType::f32:
      return 4;
  }
  throw std::logic_error("unknown DType");
}

const char* name_of(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }

std::string list_of(const std::int64_t* sizes, std::size_t count) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < count; ++axis) {
    if (axis > 0) text += ", ";
    text += sizes[axis] == kAnySize ? "*" : std::to_string(sizes[axis]);
  }
  return text + "]";
}

bool shape_matches(const TensorView& tensor, std::initializer_list<std::int64_t> shape) {
  if (tensor.rank != static_cast<std::int32_t>(shape.size())) return false;
  const std::int64_t* actual = tensor.shape;
  for (const std::int64_t expected : shape) {
    if (expected != kAnySize && expected != *actual) return false;
    ++actual;
  }
  return true;
}

}  // namespace

bool TensorView::contiguous() const {
  if (numel() == 0) return true;
  std::int64_t expected = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    // A stride along an axis of one element is never used, so producers may put anything there.
    if (shape[axis] != 1 && stride[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

void check_tensor(const TensorView& tensor, const char* op, const char* argument, DType dtype,
                  Device device, std::initializer_list<std::int64_t> shape) {
  const bool contiguous = tensor.contiguous();
  const bool aligned = reinterpret_cast<std::uintptr_t>(tensor.data) % bytes_of(tensor.dtype) == 0;
  if (tensor.dtype == dtype && tensor.device == device && contiguous && aligned &&
      shape_matches(tensor, shape)) {
    return;
  }
  throw std::invalid_argument(std::string(op) + ": " + argument + " must be C-contiguous " +
                              name_of(dtype) + " " + list_of(shape.begin(), shape.size()) + " on " +
                              name_of(device) + ", got " + (contiguous ? "" : "non-contiguous ") +
                              (aligned ? "" : "misaligned ") + name_of(tensor.dtype) + " " +
                              list_of(tensor.shape, static_cast<std::size_t>(tensor.rank)) +
                              " on " + name_of(tensor.device));
}

void check_output(const TensorView& tensor, const char* op, const char* argument, DType dtype,
                  Device device, std::initializer_list<std::int64_t> shape) {
  check_tensor(tensor, op, argument, dtype, device, shape);
  if (tensor.read_only) {
    throw std::invalid_argument(std::string(op) + ": " + argument +
                                " is read-only; pass an array that can be written");
  }
}

}  // namespace vasa_cam
