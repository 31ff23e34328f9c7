#include "bindings.h"

namespace vasa_cam {

void register_warp_mesh(pybind11::module_&) {}

}  // namespace vasa_cam
