// What this binary is: compiler, instruction sets, CUDA.
#pragma once

namespace vasa_cam {

const char* compiler_name();
const char* cuda_version();  // of the compiler; empty in a build without CUDA
int cuda_device_count();     // 0 without CUDA, without a driver and without a device

}  // namespace vasa_cam
