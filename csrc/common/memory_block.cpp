#include "common/memory_block.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "vasa_cam/dispatch.h"

namespace vasa_cam {

MemoryBlock::MemoryBlock(std::int64_t bytes, Device device, int device_id)
    : device_(device), device_id_(device_id) {
  const std::int64_t size = std::max(bytes, kBlockAlignment);
  if (device == Device::cuda) {
    VASA_CUDA_CALL("MemoryBlock", data_ = static_cast<char*>(cuda_allocate(size, device_id)));
    return;
  }
  data_ = static_cast<char*>(
      ::operator new(static_cast<std::size_t>(size), std::align_val_t{kBlockAlignment}));
  std::memset(data_, 0, static_cast<std::size_t>(size));
}

MemoryBlock::~MemoryBlock() {
  if (device_ == Device::cpu) {
    ::operator delete(data_, std::align_val_t{kBlockAlignment});
    return;
  }
#ifdef VASA_CAM_WITH_CUDA
  cuda_release(data_, device_id_);
#endif
}

void MemoryBlock::copy_from_host(const void* source, std::int64_t bytes) {
  if (device_ == Device::cuda) {
    VASA_CUDA_CALL("MemoryBlock", cuda_copy_from_host(data_, source, bytes, device_id_));
    return;
  }
  std::memcpy(data_, source, static_cast<std::size_t>(bytes));
}

}  // namespace vasa_cam
