// A non-owning view of a strided tensor on the CPU or on a CUDA device.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace vasa_cam {

enum class Device : std::int32_t { cpu, cuda };
enum class DType : std::int32_t { u8, i8, i32, f32, f16, bf16 };

inline constexpr int kMaxRank = 5;

struct TensorView {
  void* data = nullptr;             // first element; null only if the tensor is empty
  DType dtype = DType::f32;         //
  Device device = Device::cpu;      //
  std::int32_t device_id = 0;       // CUDA ordinal; 0 on the CPU
  std::int32_t rank = 0;            // number of valid entries below
  std::int64_t shape[kMaxRank]{};   // elements
  std::int64_t stride[kMaxRank]{};  // elements, not bytes
  bool read_only = false;           // the producer forbids writing

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  std::int64_t numel() const {
    std::int64_t count = 1;
    for (int axis = 0; axis < rank; ++axis) count *= shape[axis];
    return count;
  }
  bool contiguous() const;
};

// What check_tensor demands. A size of kAnySize accepts every size.
inline constexpr std::int64_t kAnySize = -1;

// Throws std::invalid_argument "op: argument must be C-contiguous f32 [468, 4] on cpu, got ..."
// unless the tensor has this type, device and shape, is C-contiguous and begins at a multiple of
// its element's size.
void check_tensor(const TensorView& tensor, const char* op, const char* argument, DType dtype,
                  Device device, std::initializer_list<std::int64_t> shape);

// Also throws when the producer forbids writing.
void check_output(const TensorView& tensor, const char* op, const char* argument, DType dtype,
                  Device device, std::initializer_list<std::int64_t> shape);

}  // namespace vasa_cam
