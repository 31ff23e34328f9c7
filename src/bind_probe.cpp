#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/probe.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

void triad_of_arrays(const py::object& a, const py::object& b, float factor, const py::object& out,
                     std::uintptr_t stream) {
  const DlpackTensor first(a, "triad: a");
  const DlpackTensor second(b, "triad: b");
  const DlpackTensor to(out, "triad: out");
  const py::gil_scoped_release unlocked;
  triad(first.view(), second.view(), factor, to.view(), reinterpret_cast<void*>(stream));
}

void multiply_add_of_array(const py::object& values, float factor, float addend,
                           std::int64_t rounds, std::uintptr_t stream) {
  const DlpackTensor tensor(values, "multiply_add: values");
  const py::gil_scoped_release unlocked;
  multiply_add(tensor.view(), factor, addend, rounds, reinterpret_cast<void*>(stream));
}

}  // namespace

void register_probe(py::module_& module) {
  module.def("triad", &triad_of_arrays, py::arg("a"), py::arg("b"), py::arg("factor"),
             py::arg("out"), py::arg("stream"));
  module.def("multiply_add", &multiply_add_of_array, py::arg("values"), py::arg("factor"),
             py::arg("addend"), py::arg("rounds"), py::arg("stream"));
}

}  // namespace vasa_cam
