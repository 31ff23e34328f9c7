// Checks that the entry points of the folder share.
#pragma once

#include "common/half.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

inline void check_floats(const TensorView& tensor, const char* op, const char* argument) {
  require(is_float(tensor.dtype), op,
          (std::string(argument) + " must be f32, f16 or bf16").c_str());
}

inline void check_same_gpu(const TensorView& tensor, const TensorView& other, const char* op) {
  require(tensor.device_id == other.device_id, op, "all arrays must be on one GPU");
}

// An output is written while the inputs are still read.
inline void check_apart(const TensorView& input, std::int64_t input_bytes, const TensorView& output,
                        std::int64_t output_bytes, const char* op) {
  const auto from = reinterpret_cast<std::uintptr_t>(input.data);
  const auto to = reinterpret_cast<std::uintptr_t>(output.data);
  require(from + static_cast<std::uintptr_t>(input_bytes) <= to ||
              to + static_cast<std::uintptr_t>(output_bytes) <= from,
          op, "out must not share memory with an input");
}

inline std::int64_t bytes_of(const TensorView& tensor) {
  const std::int64_t size = tensor.dtype == DType::f32 || tensor.dtype == DType::i32    ? 4
                            : tensor.dtype == DType::f16 || tensor.dtype == DType::bf16 ? 2
                                                                                        : 1;
  return tensor.numel() * size;
}

inline void check_apart(const TensorView& input, const TensorView& output, const char* op) {
  check_apart(input, bytes_of(input), output, bytes_of(output), op);
}

// A grid's second and third axis have at most this many blocks.
constexpr std::int64_t kMostBlocks = 65535;

}  // namespace vasa_cam
