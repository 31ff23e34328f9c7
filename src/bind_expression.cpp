#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <string>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/expression.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

constexpr std::size_t kTensors = 13;
using PoseValues = std::array<float, 21>;
using LightValues = std::array<float, 5>;

// Order of vasa_cam.ops.expression.ExpressionTensors.
constexpr std::array<const char*, kTensors> kNames = {
    "shapes",          "operator_indptr", "operator_indices", "operator_values", "contact_pairs",
    "contact_entries", "contact_weights", "contact_down",     "rest_coarse",     "rest",
    "rigid",           "shade_weight",    "normal_triangles"};

std::unique_ptr<ExpressionMesh> make_mesh(const std::array<py::object, kTensors>& arrays,
                                          const LightValues& light, const std::string& device,
                                          int device_id) {
  std::array<std::unique_ptr<DlpackTensor>, kTensors> tensors;
  std::array<TensorView, kTensors> views;
  for (std::size_t index = 0; index < kTensors; ++index) {
    tensors[index] = std::make_unique<DlpackTensor>(arrays[index], kNames[index]);
    views[index] = tensors[index]->view();
  }
  const auto& [shapes, indptr, indices, values, pairs, entries, contact_weights, down, rest_coarse,
               rest, rigid, shade_weight, triangles] = views;
  const ExpressionTensors fixed{shapes,  indptr,          indices,  values,      pairs,
                                entries, contact_weights, down,     rest_coarse, rest,
                                rigid,   shade_weight,    triangles};
  const ExpressionLight lamp{{light[0], light[1], light[2]}, light[3], light[4]};
  const Device where = device == "cuda" ? Device::cuda : Device::cpu;
  return std::make_unique<ExpressionMesh>(fixed, lamp, where, device_id);
}

// The 21 numbers of vasa_cam.ops.expression.Pose.values().
ExpressionPose pose_of(const PoseValues& v) {
  ExpressionPose pose{};
  std::size_t at = 0;
  for (float& value : pose.rotation) value = v[at++];
  for (float& value : pose.translation) value = v[at++];
  for (float& value : pose.pivot) value = v[at++];
  pose.focal = v[at++];
  for (float& value : pose.principal) value = v[at++];
  pose.scale = v[at++];
  for (float& value : pose.offset) value = v[at++];
  return pose;
}

void run_mesh(ExpressionMesh& mesh, const py::object& weights, const PoseValues& pose,
              const py::object& vertices, const py::object& attributes, std::uintptr_t stream) {
  const DlpackTensor weight_tensor(weights, "expression: weights");
  const DlpackTensor vertex_tensor(vertices, "expression: out vertices");
  const DlpackTensor attribute_tensor(attributes, "expression: out attributes");
  const py::gil_scoped_release unlocked;
  mesh.run(weight_tensor.view(), pose_of(pose), vertex_tensor.view(), attribute_tensor.view(),
           reinterpret_cast<void*>(stream));
}

}  // namespace

void register_expression(py::module_& module) {
  py::class_<ExpressionMesh>(module, "ExpressionMesh")
      .def(py::init(&make_mesh), py::arg("arrays"), py::arg("light"), py::arg("device"),
           py::arg("device_id"));
  module.def("expression", &run_mesh, py::arg("mesh"), py::arg("weights"), py::arg("pose"),
             py::arg("vertices"), py::arg("attributes"), py::arg("stream"));
}

}  // namespace vasa_cam
