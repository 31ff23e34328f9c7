// Errors of the core. The bindings translate std::invalid_argument to ValueError and
// std::runtime_error to RuntimeError.
#pragma once

#include <stdexcept>
#include <string>

namespace vasa_cam {

// Throws std::invalid_argument "op: message" unless the condition holds.
inline void require(bool condition, const char* op, const char* message) {
  if (!condition) throw std::invalid_argument(std::string(op) + ": " + message);
}

// Throws std::runtime_error: the op was asked to run on a GPU by a build without CUDA.
[[noreturn]] void throw_without_cuda(const char* op);

}  // namespace vasa_cam
