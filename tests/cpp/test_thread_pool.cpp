#include <atomic>
#include <stdexcept>
#include <thread>

#include "common/thread_pool.h"
#include "test_support.h"

namespace vasa_cam {
namespace {

std::vector<int> visits(std::int64_t count, std::int64_t grain) {
  std::vector<std::atomic<int>> counts(static_cast<std::size_t>(count));
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    EXPECT_LE(end - begin, grain);
    for (std::int64_t item = begin; item < end; ++item) ++counts[static_cast<std::size_t>(item)];
  });
  return {counts.begin(), counts.end()};
}

TEST(ThreadPool, VisitsEveryItemOnce) {
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    for (const std::int64_t count : {0, 1, 7, 64, 1001}) {
      EXPECT_EQ(visits(count, 7), std::vector<int>(static_cast<std::size_t>(count), 1));
    }
  }
  set_num_threads(2);
}

TEST(ThreadPool, SurvivesManyCallsAndResizing) {
  for (int round = 0; round < 300; ++round) {
    set_num_threads(1 + round % 4);
    std::atomic<std::int64_t> sum{0};
    parallel_for(100, 3, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
    ASSERT_EQ(sum.load(), 100);
  }
  set_num_threads(2);
}

TEST(ThreadPool, ThrowsTheBodysException) {
  set_num_threads(3);
  const auto failing = [] {
    parallel_for(50, 1, [](std::int64_t begin, std::int64_t) {
      if (begin == 20) throw std::runtime_error("row 20");
    });
  };
  EXPECT_EQ(test::message_of<std::runtime_error>(failing), "row 20");
  EXPECT_EQ(visits(10, 1), std::vector<int>(10, 1));
  set_num_threads(2);
}

TEST(ThreadPool, RunsNestedCallsInTheSameThread) {
  set_num_threads(2);
  std::atomic<int> foreign{0};
  parallel_for(8, 1, [&](std::int64_t, std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    parallel_for(8, 1, [&](std::int64_t, std::int64_t) {
      if (std::this_thread::get_id() != outer) ++foreign;
    });
  });
  EXPECT_EQ(foreign.load(), 0);
}

TEST(ThreadPool, CallersAtTheSameTimeDoNotDisturbEachOther) {
  set_num_threads(2);
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&sum] {
      for (int round = 0; round < 100; ++round) {
        parallel_for(40, 2, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), 4 * 100 * 40);
}

TEST(ThreadPool, RefusesSenselessNumbers) {
  EXPECT_THROW(set_num_threads(0), std::invalid_argument);
  EXPECT_THROW(set_num_threads(65), std::invalid_argument);
}

}  // namespace
}  // namespace vasa_cam
