#include <pybind11/stl.h>

#include <array>
#include <memory>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/guided_update.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

constexpr std::size_t kArrays = 6;
constexpr std::array<const char*, kArrays> kNames = {
    "guided_update: x_t",   "guided_update: outputs", "guided_update: weights",
    "guided_update: noise", "guided_update: clean",   "guided_update: out"};

// `noise` and `clean` may be None, which becomes a view of rank 0.
void update_arrays(const std::array<py::object, kArrays>& arrays,
                   const std::array<float, 3>& coefficients, std::uintptr_t stream) {
  std::array<std::unique_ptr<DlpackTensor>, kArrays> tensors;
  std::array<TensorView, kArrays> views;
  for (std::size_t index = 0; index < kArrays; ++index) {
    if (arrays[index].is_none()) continue;
    tensors[index] = std::make_unique<DlpackTensor>(arrays[index], kNames[index]);
    views[index] = tensors[index]->view();
  }
  const UpdateCoefficients values{coefficients[0], coefficients[1], coefficients[2]};
  const py::gil_scoped_release unlocked;
  guided_update({views[0], views[1], views[2], views[3], views[4], views[5]}, values,
                reinterpret_cast<void*>(stream));
}

}  // namespace

void register_guided_update(py::module_& module) {
  // arrays: x_t, outputs, weights, noise or None, clean or None, out.
  module.def("guided_update", &update_arrays, py::arg("arrays"), py::arg("coefficients"),
             py::arg("stream"));
}

}  // namespace vasa_cam
