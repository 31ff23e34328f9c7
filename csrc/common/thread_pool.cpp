#include "common/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "vasa_cam/error.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace vasa_cam {
namespace {

constexpr int kMaxThreads = 64;
// About 20 to 40 microseconds: an op has several stages in a row, and going to sleep between two of
// them costs more than the stage.
constexpr int kSpins = 1000;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

thread_local bool inside_pool = false;

class ThreadPool {
 public:
  explicit ThreadPool(int threads) {
    for (int index = 1; index < threads; ++index) workers_.emplace_back([this] { work(); });
  }

  ~ThreadPool() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(std::int64_t count, std::int64_t grain, detail::RangeFunction function, void* context) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      function_ = function;
      context_ = context;
      count_ = count;
      grain_ = grain;
      failure_ = nullptr;
      next_.store(0, std::memory_order_relaxed);
      open_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    inside_pool = true;
    take_ranges();
    inside_pool = false;
    wait_for_workers();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void take_ranges() {
    try {
      for (;;) {
        const std::int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
        if (begin >= count_) return;
        function_(context_, begin, std::min(begin + grain_, count_));
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_.store(count_, std::memory_order_relaxed);
    }
  }

  // Closes the job, so that a worker that wakes late leaves it alone, and waits for those inside.
  void wait_for_workers() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      open_ = false;
    }
    for (int spin = 0; spin < kSpins; ++spin) {
      if (active_.load(std::memory_order_acquire) == 0) return;
      relax();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return active_.load(std::memory_order_acquire) == 0; });
  }

  void work() {
    inside_pool = true;
    std::uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins; ++spin) {
        if (generation_.load(std::memory_order_acquire) != seen) break;
        relax();
      }
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
        seen = generation_.load(std::memory_order_acquire);
        if (stopping_) return;
        if (!open_) continue;
        active_.fetch_add(1, std::memory_order_relaxed);
      }
      take_ranges();
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        active_.fetch_sub(1, std::memory_order_release);
      }
      done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> active_{0};
  std::atomic<std::int64_t> next_{0};
  detail::RangeFunction function_ = nullptr;
  void* context_ = nullptr;
  std::int64_t count_ = 0;
  std::int64_t grain_ = 1;
  std::exception_ptr failure_;
  bool open_ = false;
  bool stopping_ = false;
  std::vector<std::thread> workers_;  // last: the threads use everything above
};

// Never destroyed: joining threads while the process or the interpreter goes down can hang.
struct PoolState {
  std::mutex in_use;
  std::unique_ptr<ThreadPool> pool;
  std::atomic<int> threads{std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 2)};
};

PoolState* state = nullptr;

#if defined(__unix__) || defined(__APPLE__)
// Threads do not survive fork(): the child starts with a pool of its own, and the parent's memory,
// whose mutexes may be locked, is left alone.
void forget_pool_in_child() {
  const int threads = state->threads.load();
  state = new PoolState;
  state->threads.store(threads);
  inside_pool = false;
}
#endif

PoolState& pool_state() {
  static const bool created = [] {
    state = new PoolState;
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, forget_pool_in_child);
#endif
    return true;
  }();
  static_cast<void>(created);
  return *state;
}

}  // namespace

int num_threads() { return pool_state().threads.load(); }

void set_num_threads(int count) {
  require(count >= 1 && count <= kMaxThreads, "set_num_threads", "count must be 1 to 64");
  PoolState& shared = pool_state();
  const std::lock_guard<std::mutex> lock(shared.in_use);
  shared.threads.store(count);
  if (shared.pool && shared.pool->threads() != count) shared.pool.reset();
}

namespace detail {

void run_range(std::int64_t count, std::int64_t grain, RangeFunction function, void* context) {
  grain = std::max<std::int64_t>(grain, 1);
  PoolState& shared = pool_state();
  if (!inside_pool && count > grain && shared.threads.load() > 1) {
    const std::unique_lock<std::mutex> lock(shared.in_use, std::try_to_lock);
    if (lock.owns_lock()) {
      const int threads = shared.threads.load();
      if (!shared.pool) shared.pool = std::make_unique<ThreadPool>(threads);
      shared.pool->run(count, grain, function, context);
      return;
    }
  }
  for (std::int64_t begin = 0; begin < count; begin += grain) {
    function(context, begin, std::min(begin + grain, count));
  }
}

}  // namespace detail
}  // namespace vasa_cam
