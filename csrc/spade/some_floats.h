// The last channels of a pixel need not fill a vector. For SIMD_SOURCES only.
#pragma once

#include "common/floats.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {

// The first `count` numbers, or as many as there are in a vector.
template <class T>
VASA_HD Floats load_some(const T* at, std::int64_t count) {
  return count >= kFloats ? load_floats(at) : load_first(at, count);
}

template <class T>
VASA_HD void store_some(T* at, std::int64_t count, Floats value) {
  if (count >= kFloats) {
    store_floats(at, value);
  } else {
    store_first(at, count, value);
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
