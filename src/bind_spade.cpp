#include <pybind11/stl.h>

#include <deque>
#include <optional>
#include <string>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/spade.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

void statistics_of_array(const py::object& x, const py::object& workspace, const py::object& out,
                         std::uintptr_t stream) {
  const DlpackTensor input(x, "instance_statistics: x");
  const DlpackTensor scratch(workspace, "instance_statistics: workspace");
  const DlpackTensor target(out, "instance_statistics: out");
  const py::gil_scoped_release unlocked;
  instance_statistics(input.view(), scratch.view(), target.view(), reinterpret_cast<void*>(stream));
}

// bias: an array, or None.
void modulate_arrays(const py::object& x, const py::object& statistics,
                     const py::object& gamma_beta, const py::object& bias, float slope,
                     const py::object& out, std::uintptr_t stream) {
  const DlpackTensor input(x, "spade_modulate: x");
  const DlpackTensor numbers(statistics, "spade_modulate: statistics");
  const DlpackTensor maps(gamma_beta, "spade_modulate: gamma_beta");
  std::optional<DlpackTensor> added;
  if (!bias.is_none()) added.emplace(bias, "spade_modulate: bias");
  const DlpackTensor target(out, "spade_modulate: out");
  const SpadeTensors tensors{input.view(), numbers.view(), maps.view(),
                             added ? added->view() : TensorView{}};
  const py::gil_scoped_release unlocked;
  spade_modulate(tensors, slope, target.view(), reinterpret_cast<void*>(stream));
}

void expand_arrays(const std::vector<py::object>& parts, const py::object& bias,
                   std::int32_t factor, bool relu, const py::object& out, std::uintptr_t stream) {
  std::deque<DlpackTensor> tensors;
  std::vector<TensorView> views;
  for (const py::object& part : parts) {
    views.push_back(tensors.emplace_back(part, "phase_expand: part").view());
  }
  const DlpackTensor added(bias, "phase_expand: bias");
  const DlpackTensor target(out, "phase_expand: out");
  const py::gil_scoped_release unlocked;
  phase_expand(views, added.view(), factor, relu, target.view(), reinterpret_cast<void*>(stream));
}

void tail_of_array(const py::object& x, const py::object& out, const std::string& format,
                   const std::string& matrix, std::uintptr_t stream) {
  const DlpackTensor input(x, "decoder_tail: x");
  const DlpackTensor target(out, "decoder_tail: out");
  const PixelFormat wanted = pixel_format_of(format);
  const ColourMatrix weights = colour_matrix_of(matrix);
  const py::gil_scoped_release unlocked;
  decoder_tail(input.view(), target.view(), wanted, weights, reinterpret_cast<void*>(stream));
}

}  // namespace

void register_spade(py::module_& module) {
  module.def("statistics_parts", &statistics_parts, py::arg("pixels"));
  module.def("instance_statistics", &statistics_of_array, py::arg("x"), py::arg("workspace"),
             py::arg("out"), py::arg("stream"));
  module.def("spade_modulate", &modulate_arrays, py::arg("x"), py::arg("statistics"),
             py::arg("gamma_beta"), py::arg("bias"), py::arg("slope"), py::arg("out"),
             py::arg("stream"));
  module.def("phase_expand", &expand_arrays, py::arg("parts"), py::arg("bias"), py::arg("factor"),
             py::arg("relu"), py::arg("out"), py::arg("stream"));
  module.def("decoder_tail", &tail_of_array, py::arg("x"), py::arg("out"), py::arg("format"),
             py::arg("matrix"), py::arg("stream"));
}

}  // namespace vasa_cam
