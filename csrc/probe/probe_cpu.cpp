// CPU twins. The compiler vectorises the triad by itself; the chains of multiply_add are written as
// vectors, because there must be enough of them in flight to hide what one operation takes.
#include <cstring>

#include "probe/probe_params.h"
#include "vasa_cam/host_device.h"

namespace vasa_cam::VASA_SIMD_NAMESPACE {
namespace {

#if defined(__GNUC__) || defined(__clang__)
#if defined(__AVX512F__)
typedef float Vector __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef float Vector __attribute__((vector_size(32)));
#else
typedef float Vector __attribute__((vector_size(16)));
#endif
#else
using Vector = float;
#endif

// Two units that take four cycles need eight chains; twelve leave registers for the two constants.
constexpr int kChains = 12;
constexpr std::int64_t kLanes = sizeof(Vector) / sizeof(float);
constexpr std::int64_t kBlock = kChains * kLanes;

}  // namespace

void triad_range(const TriadParams& p, std::int64_t begin, std::int64_t end);
void multiply_add_range(const MultiplyAddParams& p, std::int64_t begin, std::int64_t end);

void triad_range(const TriadParams& p, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) p.out[i] = p.a[i] + p.factor * p.b[i];
}

void multiply_add_range(const MultiplyAddParams& p, std::int64_t begin, std::int64_t end) {
  const Vector factor = p.factor - Vector{};
  const Vector addend = p.addend - Vector{};
  std::int64_t at = begin;
  for (; at + kBlock <= end; at += kBlock) {
    Vector chains[kChains];
    std::memcpy(chains, p.values + at, sizeof chains);
    for (std::int64_t round = 0; round < p.rounds; ++round) {
      for (int chain = 0; chain < kChains; ++chain) {
        chains[chain] = factor * chains[chain] + addend;
      }
    }
    std::memcpy(p.values + at, chains, sizeof chains);
  }
  for (; at < end; ++at) {
    float value = p.values[at];
    for (std::int64_t round = 0; round < p.rounds; ++round) value = p.factor * value + p.addend;
    p.values[at] = value;
  }
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
