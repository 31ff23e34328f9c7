// Scratch memory that windows of one model hand on to each other.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "common/memory_block.h"

namespace vasa_cam {

// Scratch memory that outlives the call: on the CPU any idle block will do; on a GPU a stream keeps
// its own, because its work goes on after the call.
class ScratchPool {
 public:
  using Block = std::unique_ptr<MemoryBlock>;

  ScratchPool(Device device, int device_id) : device_(device), device_id_(device_id) {}

  struct Entry {
    std::int64_t bytes = 0;
    void* stream = nullptr;
    Block memory;
  };

  Entry take(std::int64_t bytes, void* stream) {
    Entry entry;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const Entry& candidate) {
        return candidate.stream == stream;
      });
      if (found != idle_.end()) {
        entry = std::move(*found);
        idle_.erase(found);
      }
    }
    if (entry.bytes < bytes) {
      entry.memory = std::make_unique<MemoryBlock>(bytes, device_, device_id_);
      entry.bytes = bytes;
      entry.stream = stream;
    }
    return entry;
  }

  void give_back(Entry entry) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(entry));
  }

 private:
  Device device_;
  int device_id_;
  std::mutex mutex_;
  std::vector<Entry> idle_;
};

class ScratchLease {
 public:
  ScratchLease(ScratchPool& pool, std::int64_t bytes, void* stream)
      : pool_(pool), entry_(pool.take(bytes, stream)) {}
  ~ScratchLease() { pool_.give_back(std::move(entry_)); }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;

  char* data() const { return entry_.memory->data(); }

 private:
  ScratchPool& pool_;
  ScratchPool::Entry entry_;
};

}  // namespace vasa_cam
