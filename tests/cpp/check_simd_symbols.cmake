# Fails if objects compiled for a newer processor emit shared inline functions outside their own
# namespace: the linker could give those to code that runs on an older processor.
# Usage: cmake -DNM=nm "-DOBJECTS=a.o;b.o" -P check_simd_symbols.cmake
execute_process(COMMAND "${NM}" --demangle ${OBJECTS} OUTPUT_VARIABLE symbols
                RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR NOT symbols MATCHES "simd_")
  message(FATAL_ERROR "${NM} did not list the symbols of ${OBJECTS}")
endif()
string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" shared "${symbols}")
list(FILTER shared EXCLUDE REGEX "vasa_cam::simd_")
if(shared)
  list(JOIN shared "\n" shared)
  message(FATAL_ERROR "shared functions in objects for one instruction set; mark them VASA_HD or "
                      "put them into VASA_SIMD_NAMESPACE:\n${shared}")
endif()
