#include <optional>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/dense_motion.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

void input_of_arrays(const py::object& compressed, const py::object& source,
                     const py::object& driving, const py::object& out, std::uintptr_t stream) {
  const DlpackTensor compressed_tensor(compressed, "dense_motion_input: compressed");
  const DlpackTensor source_tensor(source, "dense_motion_input: keypoints_source");
  const DlpackTensor driving_tensor(driving, "dense_motion_input: keypoints_driving");
  const DlpackTensor out_tensor(out, "dense_motion_input: out");
  const Keypoints keypoints{source_tensor.view(), driving_tensor.view()};
  const py::gil_scoped_release unlocked;
  dense_motion_input(compressed_tensor.view(), keypoints, out_tensor.view(),
                     reinterpret_cast<void*>(stream));
}

void warp_of_arrays(const py::object& mask_logits, const py::object& source,
                    const py::object& driving, const py::object& volume,
                    const py::object& deformation, const py::object& out, std::uintptr_t stream) {
  const DlpackTensor logits_tensor(mask_logits, "dense_motion_warp: mask_logits");
  const DlpackTensor source_tensor(source, "dense_motion_warp: keypoints_source");
  const DlpackTensor driving_tensor(driving, "dense_motion_warp: keypoints_driving");
  const DlpackTensor volume_tensor(volume, "dense_motion_warp: volume");
  const DlpackTensor out_tensor(out, "dense_motion_warp: out");
  std::optional<DlpackTensor> places;
  if (!deformation.is_none()) places.emplace(deformation, "dense_motion_warp: deformation");
  const Keypoints keypoints{source_tensor.view(), driving_tensor.view()};
  const py::gil_scoped_release unlocked;
  dense_motion_warp(logits_tensor.view(), keypoints, volume_tensor.view(),
                    places ? &places->view() : nullptr, out_tensor.view(),
                    reinterpret_cast<void*>(stream));
}

}  // namespace

void register_dense_motion(py::module_& module) {
  module.def("dense_motion_input", &input_of_arrays, py::arg("compressed"),
             py::arg("keypoints_source"), py::arg("keypoints_driving"), py::arg("out"),
             py::arg("stream"));
  // deformation: None if nobody asks.
  module.def("dense_motion_warp", &warp_of_arrays, py::arg("mask_logits"),
             py::arg("keypoints_source"), py::arg("keypoints_driving"), py::arg("volume"),
             py::arg("deformation"), py::arg("out"), py::arg("stream"));
}

}  // namespace vasa_cam
