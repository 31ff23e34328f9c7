#include "bindings.h"

namespace vasa_cam {

void register_expression(pybind11::module_&) {}

}  // namespace vasa_cam
