// One registration function per op; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "vasa_cam/pixel.h"

namespace vasa_cam {

void register_runtime(pybind11::module_& module);
void register_expression(pybind11::module_& module);
void register_warp_mesh(pybind11::module_& module);
void register_compose(pybind11::module_& module);
void register_pixel(pybind11::module_& module);
void register_probe(pybind11::module_& module);
void register_sampler(pybind11::module_& module);
void register_guided_update(pybind11::module_& module);
void register_spade(pybind11::module_& module);
void register_warp_volume(pybind11::module_& module);
void register_dense_motion(pybind11::module_& module);

// By name; pybind11::value_error for another.
PixelFormat pixel_format_of(const std::string& name);
ColourMatrix colour_matrix_of(const std::string& name);

}  // namespace vasa_cam
