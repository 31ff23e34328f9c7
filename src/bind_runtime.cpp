#include <string>

#include "bindings.h"
#include "common/build_info.h"
#include "common/thread_pool.h"
#include "vasa_cam/dispatch.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

constexpr SimdLevel kLevels[] = {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512};

py::list available_levels() {
  py::list names;
  for (const SimdLevel level : kLevels) {
    if (simd_available(level)) names.append(simd_name(level));
  }
  return names;
}

py::dict describe_build() {
  py::dict info;
  info["simd"] = simd_name(simd_level());
  info["simd_available"] = available_levels();
  info["compiler"] = compiler_name();
  info["cuda_compiled"] = *cuda_version() != '\0';
  info["cuda_version"] = cuda_version();
  info["cuda_devices"] = cuda_device_count();
  return info;
}

void set_level_by_name(const std::string& name) {
  for (const SimdLevel level : kLevels) {
    if (name == simd_name(level)) return set_simd_level(level);
  }
  throw py::value_error("set_simd_level: level must be baseline, avx2 or avx512, got " + name);
}

}  // namespace

void register_runtime(py::module_& module) {
  module.def("build_info", &describe_build);
  module.def("num_threads", &num_threads);
  // The lock inside waits for a running op, which may need the GIL to finish.
  module.def("set_num_threads", &set_num_threads, py::arg("count"),
             py::call_guard<py::gil_scoped_release>());
  module.def("set_simd_level", &set_level_by_name, py::arg("name"));
}

}  // namespace vasa_cam
