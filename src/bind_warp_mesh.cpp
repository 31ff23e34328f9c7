#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <string>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/warp_mesh.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

std::unique_ptr<WarpMesh> make_mesh(const py::object& uv, const py::object& triangles,
                                    const py::object& texture, const py::object& detail,
                                    const std::string& device, int device_id) {
  const DlpackTensor uv_tensor(uv, "WarpMesh: uv");
  const DlpackTensor triangle_tensor(triangles, "WarpMesh: triangles");
  const DlpackTensor texture_tensor(texture, "WarpMesh: texture");
  const DlpackTensor detail_tensor(detail, "WarpMesh: detail");
  const WarpTensors tensors{uv_tensor.view(), triangle_tensor.view(), texture_tensor.view(),
                            detail_tensor.view()};
  const Device where = device == "cuda" ? Device::cuda : Device::cpu;
  return std::make_unique<WarpMesh>(tensors, where, device_id);
}

void run_mesh(WarpMesh& mesh, const py::object& vertices, const py::object& attributes,
              const std::array<float, 2>& gains, const std::array<std::int32_t, 2>& origin,
              const py::object& out, std::uintptr_t stream) {
  const DlpackTensor vertex_tensor(vertices, "warp_mesh: vertices");
  const DlpackTensor attribute_tensor(attributes, "warp_mesh: attributes");
  const DlpackTensor out_tensor(out, "warp_mesh: out");
  const WarpOptions options{gains[0], gains[1], origin[0], origin[1]};
  const py::gil_scoped_release unlocked;
  mesh.run(vertex_tensor.view(), attribute_tensor.view(), options, out_tensor.view(),
           reinterpret_cast<void*>(stream));
}

}  // namespace

void register_warp_mesh(py::module_& module) {
  py::class_<WarpMesh>(module, "WarpMesh")
      .def(py::init(&make_mesh), py::arg("uv"), py::arg("triangles"), py::arg("texture"),
           py::arg("detail"), py::arg("device"), py::arg("device_id"));
  // gains: detail_gain and edge_jump_px of vasa_cam.ops.warp_mesh.WarpOptions.
  module.def("warp_mesh", &run_mesh, py::arg("mesh"), py::arg("vertices"), py::arg("attributes"),
             py::arg("gains"), py::arg("origin"), py::arg("out"), py::arg("stream"));
}

}  // namespace vasa_cam
