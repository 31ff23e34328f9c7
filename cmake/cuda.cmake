# Sets VASA_CAM_WITH_CUDA and enables the language. One binary serves machines with and without a
# GPU, because the CUDA runtime is linked statically and the driver is only looked for at run time.
set(VASA_CAM_WITH_CUDA OFF)
if(NOT VASA_CAM_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "VASA_CAM_CUDA must be AUTO, ON or OFF, got '${VASA_CAM_CUDA}'")
endif()
if(VASA_CAM_CUDA STREQUAL "OFF")
  return()
endif()

include(CheckLanguage)
# Both are set before the language is enabled, otherwise the compiler's own default is kept.
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(VASA_CAM_CUDA STREQUAL "ON")
    message(FATAL_ERROR "VASA_CAM_CUDA=ON but no CUDA compiler was found; set CUDACXX to nvcc")
  endif()
  message(STATUS "vasa_cam: no CUDA compiler, building the CPU twins only")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES OFF)
  set(vasa_cam_choose_architectures ON)
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

if(vasa_cam_choose_architectures)
  # Wanted generations, cut to what this compiler can make; the newest also travels as PTX, so that
  # the driver can translate it for later ones.
  execute_process(COMMAND "${CMAKE_CUDA_COMPILER}" --list-gpu-code
                  OUTPUT_VARIABLE known_architectures ERROR_QUIET)
  set(CMAKE_CUDA_ARCHITECTURES "")
  set(newest "")
  foreach(architecture IN ITEMS 75 80 86 89 90 100 120)
    if(known_architectures MATCHES "sm_${architecture}([^0-9]|$)")
      list(APPEND CMAKE_CUDA_ARCHITECTURES "${architecture}-real")
      set(newest "${architecture}")
    endif()
  endforeach()
  if(newest STREQUAL "")
    message(FATAL_ERROR "${CMAKE_CUDA_COMPILER} knows none of the GPU generations 75 to 120; "
                        "set CMAKE_CUDA_ARCHITECTURES")
  endif()
  list(APPEND CMAKE_CUDA_ARCHITECTURES "${newest}-virtual")
endif()
set(VASA_CAM_WITH_CUDA ON)
message(STATUS "vasa_cam: CUDA ${CMAKE_CUDA_COMPILER_VERSION}, ${CMAKE_CUDA_ARCHITECTURES}")
