#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/compose.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

using Origin = std::array<std::int32_t, 2>;

template <std::size_t Count>
void copy_floats(const py::object& params, const char* name, float (&target)[Count]) {
  const auto values = params.attr(name).cast<std::array<float, Count>>();
  std::copy(values.begin(), values.end(), target);
}

float number(const py::object& params, const char* name) { return params.attr(name).cast<float>(); }

// From vasa_cam.ops.compose.EyeParams, which has checked itself.
EyeParams eye_params(const py::object& from) {
  EyeParams p{};
  copy_floats(from, "patch_from_screen", p.patch_from_screen);
  const auto rest = from.attr("rest_aperture").cast<py::array_t<float, py::array::c_style>>();
  if (rest.size() != kApertureSize) {
    throw py::value_error("compose_eye: rest_aperture must be [134]");
  }
  std::copy(rest.data(), rest.data() + kApertureSize, p.rest_aperture);
  copy_floats(from, "iris_centre_px", p.iris_centre);
  p.iris_radius = number(from, "iris_radius_px");
  p.eyeball_radius = number(from, "eyeball_radius_px");
  copy_floats(from, "gaze_rad", p.gaze);
  p.shadow_strength = number(from, "shadow_strength");
  p.shadow_reach = number(from, "shadow_reach");
  p.lid_strength = number(from, "lid_strength");
  p.lash_strength = number(from, "lash_strength");
  p.lash_width = number(from, "lash_width");
  copy_floats(from, "lash_rgb", p.lash_rgb);
  p.softness = number(from, "softness_px");
  return p;
}

// From vasa_cam.ops.compose.MouthParams, which has checked itself.
MouthParams mouth_params(const py::object& from) {
  MouthParams p{};
  copy_floats(from, "cavity_rgb", p.cavity_rgb);
  p.px_per_cm = number(from, "px_per_cm");
  p.occlusion = number(from, "occlusion");
  copy_floats(from, "fade_px", p.fade);
  p.rim_strength = number(from, "rim_strength");
  p.rim = number(from, "rim_px");
  p.softness = number(from, "softness_px");
  return p;
}

void over_arrays(const py::object& background, const py::object& layer, const Origin& origin,
                 const py::object& out, std::uintptr_t stream) {
  const DlpackTensor under(background, "compose_over: background");
  const DlpackTensor upper(layer, "compose_over: layer");
  const DlpackTensor target(out, "compose_over: out");
  const py::gil_scoped_release unlocked;
  compose_over(under.view(), upper.view(), origin[0], origin[1], target.view(),
               reinterpret_cast<void*>(stream));
}

void aperture_arrays(const py::object& vertices, const py::object& upper, const py::object& lower,
                     const py::object& out, std::uintptr_t stream) {
  const DlpackTensor vertex_tensor(vertices, "aperture: vertices");
  const DlpackTensor upper_chain(upper, "aperture: upper_chain");
  const DlpackTensor lower_chain(lower, "aperture: lower_chain");
  const DlpackTensor target(out, "aperture: out");
  const py::gil_scoped_release unlocked;
  aperture(vertex_tensor.view(), upper_chain.view(), lower_chain.view(), target.view(),
           reinterpret_cast<void*>(stream));
}

void eye_arrays(const py::object& frame, const py::object& aperture, const py::object& params,
                const std::array<py::object, 3>& layers, std::uintptr_t stream) {
  const DlpackTensor target(frame, "compose_eye: frame");
  const DlpackTensor opening(aperture, "compose_eye: aperture");
  const DlpackTensor sclera(layers[0], "compose_eye: sclera");
  const DlpackTensor iris(layers[1], "compose_eye: iris");
  const DlpackTensor lid(layers[2], "compose_eye: lid");
  const EyeParams values = eye_params(params);
  const py::gil_scoped_release unlocked;
  compose_eye(target.view(), opening.view(), values, sclera.view(), iris.view(), lid.view(),
              reinterpret_cast<void*>(stream));
}

void mouth_arrays(const py::object& frame, const py::object& aperture, const py::object& params,
                  const py::object& interior, const Origin& origin, std::uintptr_t stream) {
  const DlpackTensor target(frame, "compose_mouth: frame");
  const DlpackTensor opening(aperture, "compose_mouth: aperture");
  const DlpackTensor layer(interior, "compose_mouth: interior");
  const MouthParams values = mouth_params(params);
  const py::gil_scoped_release unlocked;
  compose_mouth(target.view(), opening.view(), values, layer.view(), origin[0], origin[1],
                reinterpret_cast<void*>(stream));
}

}  // namespace

void register_compose(py::module_& module) {
  module.def("compose_over", &over_arrays, py::arg("background"), py::arg("layer"),
             py::arg("origin"), py::arg("out"), py::arg("stream"));
  module.def("aperture", &aperture_arrays, py::arg("vertices"), py::arg("upper"), py::arg("lower"),
             py::arg("out"), py::arg("stream"));
  // layers: sclera, iris, lid.
  module.def("compose_eye", &eye_arrays, py::arg("frame"), py::arg("aperture"), py::arg("params"),
             py::arg("layers"), py::arg("stream"));
  module.def("compose_mouth", &mouth_arrays, py::arg("frame"), py::arg("aperture"),
             py::arg("params"), py::arg("interior"), py::arg("origin"), py::arg("stream"));
}

}  // namespace vasa_cam
