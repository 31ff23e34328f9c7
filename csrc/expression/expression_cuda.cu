// CUDA twin: a thread for each coarse vertex, dense vertex or triangle. Sums run in the same order
// as on the CPU (gathered by vertex, no atomics), so a frame is the same every time.
#include <algorithm>

#include "common/cuda_check.cuh"
#include "expression/expression_math.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 128;

__device__ std::int64_t global_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// Weights from the CPU travel as arguments of a launch, which copies them at once: the caller may
// change its array right after, even if it lies in pinned memory.
constexpr int kWeightsPerLaunch = 256;
struct HostWeights {
  float value[kWeightsPerLaunch];
};

__global__ void weight_kernel(HostWeights weights, float* target, int count) {
  const int index = static_cast<int>(threadIdx.x);
  if (index < count) target[index] = weights.value[index];
}

void upload_weights(const float* weights, std::int64_t count, float* target, cudaStream_t stream) {
  for (std::int64_t first = 0; first < count; first += kWeightsPerLaunch) {
    HostWeights packet{};
    const auto size = static_cast<int>(std::min<std::int64_t>(kWeightsPerLaunch, count - first));
    std::copy(weights + first, weights + first + size, packet.value);
    weight_kernel<<<1, kWeightsPerLaunch, 0, stream>>>(packet, target + first, size);
    VASA_CUDA_CHECK(cudaGetLastError());
  }
}

__global__ void coarse_kernel(ExpressionData m, const float* weights) {
  const std::int64_t vertex = global_index();
  if (vertex >= m.size.coarse) return;
  Float4 sum = splat(0.0f);
  for (std::int64_t shape = 0; shape < m.size.shapes; ++shape) {
    sum = sum + splat(weights[shape]) * m.shapes[shape * m.size.coarse + vertex];
  }
  m.coarse[vertex] = sum;
}

// One block: every overlap must be known before the first vertex moves.
__global__ void contact_kernel(ExpressionData m) {
  for (std::int64_t pair = threadIdx.x; pair < m.size.pairs; pair += blockDim.x) {
    m.overlaps[pair] = contact_overlap(m, pair);
  }
  __syncthreads();
  for (std::int64_t vertex = threadIdx.x; vertex < m.size.coarse; vertex += blockDim.x) {
    apply_contacts(m, vertex);
  }
}

__global__ void dense_kernel(ExpressionData m, ExpressionPose pose) {
  const std::int64_t vertex = global_index();
  if (vertex >= m.size.dense) return;
  const Float4 moved = dense_displacement(m, vertex);
  const float* rest = m.rest + vertex;
  const PosedVertex posed =
      pose_vertex(pose, rest[0] + x_of(moved), rest[m.size.dense] + y_of(moved),
                  rest[2 * m.size.dense] + z_of(moved), m.rigid[vertex]);
  m.posed[vertex] = make_row(posed.x, posed.y, posed.z, 0.0f);
  m.vertices[3 * vertex] = posed.screen_x;
  m.vertices[3 * vertex + 1] = posed.screen_y;
  m.vertices[3 * vertex + 2] = posed.z * pose.scale;
  m.attributes[2 * vertex + 1] = fold_weight(w_of(moved));
}

__global__ void normal_kernel(ExpressionData m) {
  const std::int64_t face = global_index();
  if (face < m.size.triangles) m.normals[face] = triangle_normal(m, face);
}

__global__ void shade_kernel(ExpressionData m) {
  const std::int64_t vertex = global_index();
  if (vertex >= m.size.dense) return;
  const Float4 normal = vertex_normal(m, vertex);
  const float after = lambert(m.light, x_of(normal), y_of(normal), z_of(normal));
  m.attributes[2 * vertex] = shade_factor(after * m.inverse_before[vertex], m.shade_gain[vertex]);
}

}  // namespace

void launch_expression(const ExpressionData& m, const ExpressionPose& pose, int device_id,
                       const float* weights, bool weights_on_host, void* stream) {
  const CudaDeviceGuard guard(device_id);
  auto* cuda_stream = static_cast<cudaStream_t>(stream);
  if (weights_on_host) {
    upload_weights(weights, m.size.shapes, m.weights, cuda_stream);
    weights = m.weights;
  }
  if (m.size.coarse > 0) {
    coarse_kernel<<<blocks_for(m.size.coarse, kThreads), kThreads, 0, cuda_stream>>>(m, weights);
    VASA_CUDA_CHECK(cudaGetLastError());
    contact_kernel<<<1, kThreads, 0, cuda_stream>>>(m);
    VASA_CUDA_CHECK(cudaGetLastError());
  }
  dense_kernel<<<blocks_for(m.size.dense, kThreads), kThreads, 0, cuda_stream>>>(m, pose);
  VASA_CUDA_CHECK(cudaGetLastError());
  if (m.size.triangles > 0) {
    normal_kernel<<<blocks_for(m.size.triangles, kThreads), kThreads, 0, cuda_stream>>>(m);
    VASA_CUDA_CHECK(cudaGetLastError());
  }
  shade_kernel<<<blocks_for(m.size.dense, kThreads), kThreads, 0, cuda_stream>>>(m);
  VASA_CUDA_CHECK(cudaGetLastError());
}

}  // namespace vasa_cam
