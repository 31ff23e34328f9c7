// A window's launches as a CUDA graph: captured once on a stream of its own, replayed on the
// caller's.
#include "common/cuda_check.cuh"

namespace vasa_cam {
namespace {

struct CapturedGraph {
  cudaGraph_t graph = nullptr;
  ~CapturedGraph() {
    if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
  }
};

}  // namespace

// Only this thread's calls are captured, and only they are forbidden to allocate meanwhile.
void* begin_graph_capture(int device_id) {
  const CudaDeviceGuard guard(device_id);
  cudaStream_t stream = nullptr;
  VASA_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const cudaError_t status = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (status != cudaSuccess) static_cast<void>(cudaStreamDestroy(stream));
  VASA_CUDA_CHECK(status);
  return stream;
}

// Ends the capture and its stream. With `keep` the graph comes back ready to be launched.
void* end_graph_capture(void* stream, int device_id, bool keep) {
  const CudaDeviceGuard guard(device_id);
  CapturedGraph captured;
  auto* const cuda_stream = static_cast<cudaStream_t>(stream);
  const cudaError_t status = cudaStreamEndCapture(cuda_stream, &captured.graph);
  static_cast<void>(cudaStreamDestroy(cuda_stream));
  if (!keep) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  VASA_CUDA_CHECK(status);
  cudaGraphExec_t executable = nullptr;
  VASA_CUDA_CHECK(cudaGraphInstantiate(&executable, captured.graph, 0));
  return executable;
}

void launch_graph(void* executable, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  VASA_CUDA_CHECK(
      cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable), static_cast<cudaStream_t>(stream)));
}

void release_graph(void* executable, int device_id) noexcept {
  int previous = 0;
  if (cudaGetDevice(&previous) != cudaSuccess) return;
  // As for memory: at process exit the driver may be gone already.
  static_cast<void>(cudaSetDevice(device_id));
  static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable)));
  static_cast<void>(cudaSetDevice(previous));
}

}  // namespace vasa_cam
