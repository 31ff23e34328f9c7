#include <string>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/pixel.h"

namespace py = pybind11;

namespace vasa_cam {

PixelFormat pixel_format_of(const std::string& name) {
  if (name == "rgb") return PixelFormat::rgb;
  if (name == "bgr") return PixelFormat::bgr;
  if (name == "rgba") return PixelFormat::rgba;
  if (name == "bgra") return PixelFormat::bgra;
  if (name == "i420") return PixelFormat::i420;
  if (name == "nv12") return PixelFormat::nv12;
  throw py::value_error("pixel: unknown format " + name);
}

ColourMatrix colour_matrix_of(const std::string& name) {
  if (name == "bt601") return ColourMatrix::bt601;
  if (name == "bt709") return ColourMatrix::bt709;
  throw py::value_error("pixel: unknown matrix " + name);
}

namespace {

void pixel_of_arrays(const py::object& source, const py::object& target, const std::string& format,
                     const std::string& matrix, std::uintptr_t stream) {
  const DlpackTensor from(source, "pixel: source");
  const DlpackTensor to(target, "pixel: out");
  const PixelFormat wanted = pixel_format_of(format);
  const ColourMatrix weights = colour_matrix_of(matrix);
  const py::gil_scoped_release unlocked;
  pixel(from.view(), to.view(), wanted, weights, reinterpret_cast<void*>(stream));
}

}  // namespace

void register_pixel(py::module_& module) {
  module.def("pixel", &pixel_of_arrays, py::arg("source"), py::arg("target"), py::arg("format"),
             py::arg("matrix"), py::arg("stream"));
}

}  // namespace vasa_cam
