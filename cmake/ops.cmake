# The core is a set of object libraries: files compiled once, files compiled once per instruction
# set (same source, another VASA_SIMD_NAMESPACE, chosen at run time by cpuid), and CUDA files.

set(VASA_CAM_SIMD_LEVELS baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND
   CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  # The run-time test in csrc/common/simd.cpp asks for exactly these features.
  list(APPEND VASA_CAM_SIMD_LEVELS avx2 avx512)
  set(VASA_CAM_SIMD_FLAGS_avx2 -mavx2 -mfma -mf16c)
  set(VASA_CAM_SIMD_FLAGS_avx512
      -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl)
endif()

add_library(vasa_cam_common OBJECT)
foreach(level IN LISTS VASA_CAM_SIMD_LEVELS)
  add_library(vasa_cam_simd_${level} OBJECT)
endforeach()
if(VASA_CAM_WITH_CUDA)
  add_library(vasa_cam_cuda OBJECT)
endif()

# vasa_cam_op(SOURCES a.cpp SIMD_SOURCES a_cpu.cpp CUDA_SOURCES a_cuda.cu)
# Called once by each folder of csrc; paths are relative to that folder.
function(vasa_cam_op)
  cmake_parse_arguments(OP "" "" "SOURCES;SIMD_SOURCES;CUDA_SOURCES" ${ARGN})
  if(OP_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "vasa_cam_op: unknown arguments ${OP_UNPARSED_ARGUMENTS}")
  endif()
  list(TRANSFORM OP_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  list(TRANSFORM OP_SIMD_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  list(TRANSFORM OP_CUDA_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  target_sources(vasa_cam_common PRIVATE ${OP_SOURCES})
  foreach(level IN LISTS VASA_CAM_SIMD_LEVELS)
    target_sources(vasa_cam_simd_${level} PRIVATE ${OP_SIMD_SOURCES})
  endforeach()
  if(VASA_CAM_WITH_CUDA)
    target_sources(vasa_cam_cuda PRIVATE ${OP_CUDA_SOURCES})
  endif()
endfunction()

function(vasa_cam_compile_options target)
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/csrc/include"
                                              "${PROJECT_SOURCE_DIR}/csrc")
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    # No errno and no floating-point traps: needed to vectorise sqrt and comparisons. NaN and
    # infinity keep their meaning (no -ffast-math).
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fno-math-errno;-fno-trapping-math>
      $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-O3>
      $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra>
      $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall>)
    if(VASA_CAM_WERROR)
      target_compile_options(${target} PRIVATE
        $<$<COMPILE_LANGUAGE:CXX>:-Werror>
        $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
    endif()
    if(VASA_CAM_SANITIZE)
      target_compile_options(${target} PRIVATE
        $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined;-fno-sanitize-recover=all;-g>)
      target_link_options(${target} PUBLIC -fsanitize=address,undefined)
    endif()
  endif()
  if(VASA_CAM_WITH_CUDA)
    target_compile_definitions(${target} PRIVATE VASA_CAM_WITH_CUDA)
  endif()
endfunction()

# The interface library vasa_cam_core: link it and the objects come along.
function(vasa_cam_finish_core)
  vasa_cam_compile_options(vasa_cam_common)
  list(JOIN VASA_CAM_SIMD_LEVELS "," levels)
  target_compile_definitions(vasa_cam_common PRIVATE VASA_CAM_SIMD_LEVELS="${levels}"
    VASA_CAM_COMPILER="${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  if(VASA_CAM_WITH_CUDA)
    target_compile_definitions(vasa_cam_common PRIVATE
      VASA_CAM_CUDA_VERSION="${CMAKE_CUDA_COMPILER_VERSION}")
  endif()
  add_library(vasa_cam_core INTERFACE)
  add_library(vasa_cam::core ALIAS vasa_cam_core)
  # Order matters: when an inline function of the standard library is emitted by several objects,
  # the linker keeps the first. The baseline ones come first, so that no code made for a newer
  # processor is ever reached from a baseline path.
  target_sources(vasa_cam_core INTERFACE $<TARGET_OBJECTS:vasa_cam_common>)
  foreach(level IN LISTS VASA_CAM_SIMD_LEVELS)
    vasa_cam_compile_options(vasa_cam_simd_${level})
    target_compile_definitions(vasa_cam_simd_${level} PRIVATE VASA_SIMD_NAMESPACE=simd_${level})
    target_compile_options(vasa_cam_simd_${level} PRIVATE ${VASA_CAM_SIMD_FLAGS_${level}})
    target_sources(vasa_cam_core INTERFACE $<TARGET_OBJECTS:vasa_cam_simd_${level}>)
    if(NOT level STREQUAL "baseline")
      target_compile_definitions(vasa_cam_common PUBLIC VASA_SIMD_HAS_X86)
    endif()
  endforeach()
  target_include_directories(vasa_cam_core INTERFACE "${PROJECT_SOURCE_DIR}/csrc/include"
                                                     "${PROJECT_SOURCE_DIR}/csrc")
  target_link_libraries(vasa_cam_core INTERFACE Threads::Threads)
  if(VASA_CAM_SANITIZE)
    target_link_options(vasa_cam_core INTERFACE -fsanitize=address,undefined)
  endif()
  if(VASA_CAM_WITH_CUDA)
    vasa_cam_compile_options(vasa_cam_cuda)
    target_include_directories(vasa_cam_common PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
    target_sources(vasa_cam_core INTERFACE $<TARGET_OBJECTS:vasa_cam_cuda>)
    target_link_libraries(vasa_cam_core INTERFACE CUDA::cudart_static)
  endif()
endfunction()
