// What the probes' twins are given.
#pragma once

#include <cstdint>

namespace vasa_cam {

struct TriadParams {
  const float* a;  // [count]
  const float* b;  // [count]
  float* out;      // [count]; may be a or b
  float factor;
  std::int64_t count;
};

struct MultiplyAddParams {
  float* values;  // [count]
  float factor;
  float addend;
  std::int64_t rounds;
  std::int64_t count;
};

}  // namespace vasa_cam
