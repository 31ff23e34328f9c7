#include "vasa_cam/expression.h"

#include <cstring>
#include <mutex>

#include "common/thread_pool.h"
#include "expression/expression_data.h"
#include "expression/expression_math.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(displace_coarse, const ExpressionData& m);
VASA_SIMD_DECLARE(pose_dense, const ExpressionData& m, const ExpressionPose& pose,
                  std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(compute_normals, const ExpressionData& m, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(shade_dense, const ExpressionData& m, std::int64_t begin, std::int64_t end);
void launch_expression(const ExpressionData& m, const ExpressionPose& pose, int device_id,
                       const float* weights, bool weights_on_host, void* stream);

struct ExpressionMesh::State {
  State(const ExpressionSizes& size, std::int64_t bytes, Device where, int ordinal)
      : device(where), device_id(ordinal), memory(bytes, where, ordinal) {
    std::int64_t used = 0;
    data = lay_out(size, memory.data(), &used);
  }

  Device device;
  int device_id;
  MemoryBlock memory;
  ExpressionData data;
  std::mutex frame;  // the scratch serves one frame at a time
};

namespace {

constexpr const char* kOp = "expression";
constexpr std::int64_t kVerticesPerRange = 2048;
constexpr std::int64_t kTrianglesPerRange = 4096;

ExpressionSizes check_tensors(const ExpressionTensors& t) {
  constexpr const char* op = "ExpressionMesh";
  const auto check = [](const TensorView& tensor, const char* name, DType dtype,
                        std::initializer_list<std::int64_t> shape) {
    check_tensor(tensor, op, name, dtype, Device::cpu, shape);
  };
  ExpressionSizes size;
  check(t.shapes, "shapes", DType::f32, {kAnySize, kAnySize, 4});
  size.shapes = t.shapes.shape[0];
  size.coarse = t.shapes.shape[1];
  check(t.rest, "rest", DType::f32, {kAnySize, 3});
  size.dense = t.rest.shape[0];
  check(t.operator_indices, "operator_indices", DType::i32, {kAnySize});
  size.operator_entries = t.operator_indices.shape[0];
  check(t.contact_pairs, "contact_pairs", DType::i32, {kAnySize, 2});
  size.pairs = t.contact_pairs.shape[0];
  check(t.contact_entries, "contact_entries", DType::i32, {kAnySize, 2});
  size.contacts = t.contact_entries.shape[0];
  check(t.normal_triangles, "normal_triangles", DType::i32, {kAnySize, 3});
  size.triangles = t.normal_triangles.shape[0];
  check(t.operator_indptr, "operator_indptr", DType::i32, {size.dense + 1});
  check(t.operator_values, "operator_values", DType::f32, {size.operator_entries});
  check(t.contact_weights, "contact_weights", DType::f32, {size.contacts});
  check(t.contact_down, "contact_down", DType::f32, {3});
  check(t.rest_coarse, "rest_coarse", DType::f32, {size.coarse, 3});
  check(t.rigid, "rigid", DType::f32, {size.dense});
  check(t.shade_weight, "shade_weight", DType::f32, {size.dense});
  return size;
}

// 1 / light at rest of every vertex; uses the frame's scratch.
void fill_light_before(ExpressionData& m) {
  const float* x = m.rest;
  const float* y = x + m.size.dense;
  const float* z = y + m.size.dense;
  for (std::int64_t vertex = 0; vertex < m.size.dense; ++vertex) {
    m.posed[vertex] = make_row(x[vertex], y[vertex], z[vertex], 0.0f);
  }
  for (std::int64_t face = 0; face < m.size.triangles; ++face) {
    m.normals[face] = triangle_normal(m, face);
  }
  for (std::int64_t vertex = 0; vertex < m.size.dense; ++vertex) {
    const Float4 normal = vertex_normal(m, vertex);
    m.inverse_before[vertex] = 1.0f / lambert(m.light, x_of(normal), y_of(normal), z_of(normal));
  }
}

void run_cpu(const ExpressionData& m, const ExpressionPose& pose) {
  VASA_SIMD_CALL(displace_coarse, m);
  parallel_for(m.size.dense, kVerticesPerRange, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(pose_dense, m, pose, begin, end);
  });
  parallel_for(m.size.triangles, kTrianglesPerRange, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(compute_normals, m, begin, end);
  });
  parallel_for(m.size.dense, kVerticesPerRange, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(shade_dense, m, begin, end);
  });
}

}  // namespace

ExpressionMesh::ExpressionMesh(const ExpressionTensors& tensors, const ExpressionLight& light,
                               Device device, int device_id) {
  const ExpressionSizes size = check_tensors(tensors);
  std::int64_t bytes = 0;
  lay_out(size, nullptr, &bytes);
  auto prepared = std::make_unique<State>(size, bytes, Device::cpu, 0);
  fill_expression_data(tensors, light, prepared->data);
  fill_light_before(prepared->data);
  if (device == Device::cpu) {
    state_ = std::move(prepared);
    return;
  }
  // The same layout on the GPU: one copy brings everything over.
  state_ = std::make_unique<State>(size, bytes, device, device_id);
  state_->memory.copy_from_host(prepared->memory.data(), bytes);
  state_->data.light = prepared->data.light;
  state_->data.down = prepared->data.down;
}

ExpressionMesh::~ExpressionMesh() = default;

void ExpressionMesh::run(const TensorView& weights, const ExpressionPose& pose,
                         const TensorView& vertices, const TensorView& attributes, void* stream) {
  State& state = *state_;
  const ExpressionSizes& size = state.data.size;
  check_tensor(weights, kOp, "weights", DType::f32, weights.device, {size.shapes});
  check_output(vertices, kOp, "vertices", DType::f32, state.device, {size.dense, 3});
  check_output(attributes, kOp, "attributes", DType::f32, state.device, {size.dense, 2});
  require(weights.device == Device::cpu || weights.device == state.device, kOp,
          "weights must be on the CPU or on the mesh's device");
  if (size.dense == 0) return;

  const std::lock_guard<std::mutex> lock(state.frame);
  ExpressionData frame = state.data;
  frame.vertices = vertices.as<float>();
  frame.attributes = attributes.as<float>();
  if (state.device == Device::cuda) {
    VASA_CUDA_CALL(kOp, launch_expression(frame, pose, state.device_id, weights.as<const float>(),
                                          weights.device == Device::cpu, stream));
    return;
  }
  static_cast<void>(stream);
  if (size.shapes > 0) {
    std::memcpy(frame.weights, weights.data, static_cast<std::size_t>(size.shapes) * sizeof(float));
  }
  run_cpu(frame, pose);
}

}  // namespace vasa_cam
