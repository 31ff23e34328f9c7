// A small pool that splits a range of rows over a few threads.
//
// One process-wide pool, two threads by default. A call from inside a worker, or while another
// Python thread uses the pool, simply runs in the caller's thread: no waiting, no deadlock. Nothing
// is allocated per call.
#pragma once

#include <cstdint>
#include <type_traits>

namespace vasa_cam {

// Number of threads that share a call, the caller's included.
int num_threads();
// Throws std::invalid_argument unless 1 <= count <= 64.
void set_num_threads(int count);

namespace detail {
using RangeFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void run_range(std::int64_t count, std::int64_t grain, RangeFunction function, void* context);
}  // namespace detail

// Calls body(begin, end) for disjoint ranges that cover [0, count), each of `grain` items (the last
// may be shorter), on several threads at once. Ranges always have the same bounds, so a body whose
// rows are independent gives the same bytes for any number of threads. Returns when all are done;
// an exception of a body is thrown again here.
template <class Body>
void parallel_for(std::int64_t count, std::int64_t grain, Body&& body) {
  using Target = std::remove_reference_t<Body>;
  detail::run_range(
      count, grain,
      [](void* context, std::int64_t begin, std::int64_t end) {
        (*static_cast<Target*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace vasa_cam
