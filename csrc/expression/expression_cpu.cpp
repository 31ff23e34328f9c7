#include "vasa_cam/host_device.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {}
