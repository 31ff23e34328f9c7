#include "common/build_info.h"

#include <string>

#include "vasa_cam/error.h"

namespace vasa_cam {

const char* compiler_name() { return VASA_CAM_COMPILER; }

#ifdef VASA_CAM_WITH_CUDA
const char* cuda_version() { return VASA_CAM_CUDA_VERSION; }
#else
const char* cuda_version() { return ""; }
int cuda_device_count() { return 0; }
#endif

void throw_without_cuda(const char* op) {
  throw std::runtime_error(std::string(op) +
                           ": the arrays are on a GPU, but this build has no CUDA; pass CPU arrays "
                           "or install with a CUDA compiler (VASA_CAM_CUDA=ON)");
}

}  // namespace vasa_cam
