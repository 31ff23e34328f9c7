#include <string>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/warp_volume.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

Padding padding_of(const std::string& name) {
  if (name == "zeros") return Padding::zeros;
  if (name == "border") return Padding::border;
  throw py::value_error("warp_volume: unknown padding " + name);
}

void warp_arrays(const py::object& volume, const py::object& grid, const std::string& padding,
                 bool align_corners, const py::object& out, std::uintptr_t stream) {
  const DlpackTensor volume_tensor(volume, "warp_volume: volume");
  const DlpackTensor grid_tensor(grid, "warp_volume: grid");
  const DlpackTensor out_tensor(out, "warp_volume: out");
  const Padding outside = padding_of(padding);
  const py::gil_scoped_release unlocked;
  warp_volume(volume_tensor.view(), grid_tensor.view(), outside, align_corners, out_tensor.view(),
              reinterpret_cast<void*>(stream));
}

}  // namespace

void register_warp_volume(py::module_& module) {
  module.def("warp_volume", &warp_arrays, py::arg("volume"), py::arg("grid"), py::arg("padding"),
             py::arg("align_corners"), py::arg("out"), py::arg("stream"));
}

}  // namespace vasa_cam
