// One block of memory on the CPU or on a GPU, and a way to lay arrays out in it.
#pragma once

#include <cstdint>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// Cache lines, and the alignment that cudaMalloc gives at least.
inline constexpr std::int64_t kBlockAlignment = 64;

// Hands out aligned arrays one after the other. With a null base it only counts bytes.
class Layout {
 public:
  explicit Layout(char* base) : base_(base) {}

  template <class T>
  T* take(std::int64_t count) {
    T* array = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + offset_);
    const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(T));
    offset_ += (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
    return array;
  }
  std::int64_t bytes() const { return offset_; }

 private:
  char* base_;
  std::int64_t offset_ = 0;
};

// Owns zeroed memory. Throws std::bad_alloc, or std::runtime_error from CUDA.
class MemoryBlock {
 public:
  MemoryBlock(std::int64_t bytes, Device device, int device_id);
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  char* data() const { return data_; }
  // Copies from CPU memory and waits until it is done.
  void copy_from_host(const void* source, std::int64_t bytes);

 private:
  char* data_ = nullptr;
  Device device_;
  int device_id_;
};

// Implemented by the CUDA build.
void* cuda_allocate(std::int64_t bytes, int device_id);
void cuda_release(void* data, int device_id) noexcept;
void cuda_copy_from_host(void* target, const void* source, std::int64_t bytes, int device_id);

}  // namespace vasa_cam
