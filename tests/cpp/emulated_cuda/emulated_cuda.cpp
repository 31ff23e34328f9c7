#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "cuda_runtime.h"

namespace emulated_cuda {

struct Stream {
  Graph* capturing = nullptr;
};
struct Graph {
  std::vector<std::function<void()>> launches;
};

[[noreturn]] void fail(const char* message) {
  std::fprintf(stderr, "emulated CUDA: %s\n", message);
  std::abort();
}

namespace {

constexpr std::size_t kStackBytes = 128 * 1024;
enum class State { ready, at_block, at_warp, done };

struct Copy {
  void* to;
  const void* from;
  bool valid;
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  State state = State::done;
  int index = 0;
  std::deque<std::vector<Copy>> groups;  // the last one is not committed yet
};

std::vector<std::unique_ptr<Fiber>> fibers;
Fiber* running = nullptr;
ucontext_t scheduler;
const std::function<void()>* body = nullptr;
float exchanged[1024];
int any_value = 0;
alignas(128) char shared[kSharedBytes];

void enter() {
  (*body)();
  if (running->groups.size() > 1 || !running->groups.back().empty()) {
    fail("a thread ends before its copies have arrived");
  }
  running->state = State::done;
  swapcontext(&running->context, &scheduler);
}

void give_way(State state) {
  running->state = state;
  swapcontext(&running->context, &scheduler);
}

void start(Fiber& fiber, int index) {
  fiber.index = index;
  fiber.state = State::ready;
  fiber.groups.assign(1, {});
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, &enter, 0);
}

// Whether nobody of the fibers [begin, end) is on the way to a barrier that others wait at.
bool release(int begin, int end, State state) {
  int waiting = 0;
  for (int at = begin; at < end; ++at) {
    const State found = fibers[static_cast<std::size_t>(at)]->state;
    if (found == state) {
      ++waiting;
    } else if (found != State::done) {
      return false;
    }
  }
  if (waiting == 0) return false;
  for (int at = begin; at < end; ++at) {
    Fiber& fiber = *fibers[static_cast<std::size_t>(at)];
    if (fiber.state == state) fiber.state = State::ready;
  }
  return true;
}

void resume(int index) {
  Fiber& fiber = *fibers[static_cast<std::size_t>(index)];
  if (fiber.state != State::ready) return;
  running = &fiber;
  const auto thread = static_cast<unsigned>(index);
  threadIdx = dim3(thread % blockDim.x, thread / blockDim.x, 0);
  swapcontext(&scheduler, &fiber.context);
}

void run_block(int threads, bool backwards) {
  any_value = 0;
  std::fill(std::begin(shared), std::end(shared), static_cast<char>(0xff));
  for (int at = 0; at < threads; ++at) start(*fibers[static_cast<std::size_t>(at)], at);
  const auto alive = [&] {
    return std::any_of(fibers.begin(), fibers.begin() + threads,
                       [](const auto& fiber) { return fiber->state != State::done; });
  };
  const int warps = (threads + kWarpThreads - 1) / kWarpThreads;
  while (alive()) {
    for (int warp = 0; warp < warps; ++warp) {
      const int first = (backwards ? warps - 1 - warp : warp) * kWarpThreads;
      const int last = std::min(first + kWarpThreads, threads);
      // A warp goes as far as it can, so that it runs ahead of others that it does not wait for.
      do {
        for (int at = first; at < last; ++at) resume(at);
      } while (release(first, last, State::at_warp));
    }
    if (!release(0, threads, State::at_block) && alive()) fail("threads wait for each other");
  }
}

}  // namespace

char* shared_memory() { return shared; }

void launch(Stream* stream, dim3 blocks, dim3 shape, const std::function<void()>& kernel) {
  if (stream != nullptr && stream->capturing != nullptr) {
    stream->capturing->launches.push_back(
        [blocks, shape, kernel] { launch(nullptr, blocks, shape, kernel); });
    return;
  }
  const auto threads = static_cast<int>(shape.x * shape.y * shape.z);
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0 || threads < 1 || threads > 1024) {
    fail("a launch of no blocks or of too many threads");
  }
  while (fibers.size() < static_cast<std::size_t>(threads)) {
    fibers.push_back(std::make_unique<Fiber>());
  }
  body = &kernel;
  gridDim = blocks;
  blockDim = shape;
  bool backwards = false;
  for (unsigned z = 0; z < blocks.z; ++z) {
    for (unsigned y = 0; y < blocks.y; ++y) {
      for (unsigned x = 0; x < blocks.x; ++x, backwards = !backwards) {
        blockIdx = dim3(x, y, z);
        run_block(threads, backwards);
      }
    }
  }
}

void wait_for_block() { give_way(State::at_block); }
void wait_for_warp() { give_way(State::at_warp); }

// Once in a kernel.
int any_of_block(int value) {
  if (value != 0) any_value = 1;
  wait_for_block();
  return any_value;
}

int lane() { return running->index % kWarpThreads; }

float exchange(float value, int lane) {
  const int first = running->index / kWarpThreads * kWarpThreads;
  exchanged[running->index] = value;
  wait_for_warp();
  const float found = exchanged[first + lane];
  wait_for_warp();
  return found;
}

namespace {

const std::uint16_t* rows_of_warp[1024];
WarpWords words_of_warp[1024 / kWarpThreads];

// Element `column` of row `row` of matrix `matrix`, at the address that a lane has named.
std::uint16_t matrix_element(int matrix, int row, int column) {
  const int first = running->index / kWarpThreads * kWarpThreads;
  return rows_of_warp[first + matrix * 8 + row][column];
}

void name_row(const void* row) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) fail("a matrix that is not on 16 bytes");
  rows_of_warp[running->index] = static_cast<const std::uint16_t*>(row);
  wait_for_warp();
}

}  // namespace

void load_matrices(unsigned (&words)[4], const void* row) {
  name_row(row);
  for (int matrix = 0; matrix < 4; ++matrix) {
    const unsigned low = matrix_element(matrix, lane() / 4, lane() % 4 * 2);
    words[matrix] =
        low | static_cast<unsigned>(matrix_element(matrix, lane() / 4, lane() % 4 * 2 + 1)) << 16;
  }
  wait_for_warp();
}

void load_matrices_transposed(unsigned (&words)[4], const void* row) {
  name_row(row);
  for (int matrix = 0; matrix < 4; ++matrix) {
    const unsigned low = matrix_element(matrix, lane() % 4 * 2, lane() / 4);
    words[matrix] =
        low | static_cast<unsigned>(matrix_element(matrix, lane() % 4 * 2 + 1, lane() / 4)) << 16;
  }
  wait_for_warp();
}

const WarpWords& bring_words(const unsigned (&a)[4], unsigned b0, unsigned b1) {
  WarpWords& words = words_of_warp[running->index / kWarpThreads];
  std::copy_n(a, 4, words[lane()]);
  words[lane()][4] = b0;
  words[lane()][5] = b1;
  wait_for_warp();
  return words;
}

void copy_async(void* to, const void* from, bool valid) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 ||
      (valid && reinterpret_cast<std::uintptr_t>(from) % 16 != 0)) {
    fail("a copy that is not on 16 bytes");
  }
  std::memset(to, 0xff, 16);
  running->groups.back().push_back({to, from, valid});
}

void commit_copies() { running->groups.emplace_back(); }

void arrive_copies(int pending) {
  while (running->groups.size() > static_cast<std::size_t>(pending) + 1) {
    for (const Copy& copy : running->groups.front()) {
      if (copy.valid) {
        std::memcpy(copy.to, copy.from, 16);
      } else {
        std::memset(copy.to, 0, 16);
      }
    }
    running->groups.pop_front();
  }
}

}  // namespace emulated_cuda

// Memory is exactly as large as asked for, and begins where the real one would.
cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  return posix_memalign(data, 256, bytes) == 0 ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaFree(void* data) {
  std::free(data);
  return cudaSuccess;
}
// What a fresh block holds must not matter: not zeros but NaN.
cudaError_t cudaMemset(void* data, int, std::size_t bytes) {
  std::memset(data, 0xff, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new emulated_cuda::Stream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capturing = new emulated_cuda::Graph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capturing;
  stream->capturing = nullptr;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned) {
  *executable = new emulated_cuda::Graph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  for (const auto& kernel : executable->launches) kernel();
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
