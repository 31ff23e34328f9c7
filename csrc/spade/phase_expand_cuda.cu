// CUDA twin of phase_expand, on the caller's stream.
#include "spade/chunks.cuh"
#include "spade/phase_math.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;

// Along one axis: how many classes of pixels there are, and the phases of class `which`.
template <int kFactor>
struct PhaseClasses {
  static constexpr int kCount = kFactor == 4 ? 3 : kFactor;
  // First phase of a class; the class ends where the next begins.
  static constexpr __device__ int begin(int which) {
    return kFactor == 4 && which == 2 ? 3 : which;
  }
  static constexpr __device__ int end(int which) {
    return which + 1 == kCount ? kFactor : begin(which + 1);
  }
};

// A thread for one chunk of channels of all kFactor x kFactor pixels that come from one of the
// small map's: every class is read once. Neighbouring threads have neighbouring chunks.
template <class T, bool kPacked, int kFactor>
__global__ void __launch_bounds__(kThreads) expand_kernel(PhaseParams p) {
  using Classes = PhaseClasses<kFactor>;
  constexpr int kCount = kChunk<T, kPacked>;
  const unsigned chunks = static_cast<unsigned>(p.channels / kCount);
  const unsigned item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= static_cast<unsigned>(p.width) * chunks) return;
  const unsigned column = item / chunks;
  const int channel = static_cast<int>(item - column * chunks) * kCount;
  const unsigned of_group = static_cast<unsigned>(p.channels) / static_cast<unsigned>(p.groups);
  const unsigned group = static_cast<unsigned>(channel) / of_group;
  const std::int64_t image = blockIdx.z;
  const std::int64_t row = blockIdx.y;
  const std::int64_t first_row =
      ((group * p.images + image) * p.height + row) * kFactor;  // of the pixels, in `out`
  T* out = static_cast<T*>(p.out) + (channel - group * of_group);
  const float least = p.relu ? 0.0f : -INFINITY;
  float bias[kCount];
  load_numbers(p.bias + channel, bias);
#pragma unroll
  for (int vertical = 0; vertical < Classes::kCount; ++vertical) {
    const PhaseAxis y = phase_axis(kFactor, row, Classes::begin(vertical));
#pragma unroll
    for (int horizontal = 0; horizontal < Classes::kCount; ++horizontal) {
      const PhaseAxis x = phase_axis(kFactor, column, Classes::begin(horizontal));
      const PhaseSource source = phase_source(p, image, y, x);
      float value[kCount];
      load_chunk(static_cast<const T*>(source.part) + source.offset + channel, value);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        value[i] += bias[i];
        // False for NaN, which stays.
        value[i] = value[i] < least ? least : value[i];
      }
#pragma unroll
      for (int dy = Classes::begin(vertical); dy < Classes::end(vertical); ++dy) {
#pragma unroll
        for (int dx = Classes::begin(horizontal); dx < Classes::end(horizontal); ++dx) {
          const std::int64_t pixel = (first_row + dy) * (kFactor * p.width) + kFactor * column + dx;
          store_chunk(out + pixel * of_group, value);
        }
      }
    }
  }
}

template <class T, bool kPacked>
void launch_typed(const PhaseParams& p, void* stream) {
  const dim3 blocks(blocks_for(p.width * p.channels / kChunk<T, kPacked>, kThreads),
                    static_cast<unsigned>(p.height), static_cast<unsigned>(p.images));
  if (p.factor == 4) {
    launch_kernel(expand_kernel<T, kPacked, 4>, blocks, kThreads, stream, p);
  } else if (p.factor == 2) {
    launch_kernel(expand_kernel<T, kPacked, 2>, blocks, kThreads, stream, p);
  } else {
    launch_kernel(expand_kernel<T, kPacked, 1>, blocks, kThreads, stream, p);
  }
}

}  // namespace

void launch_phase_expand(const PhaseParams& p, int device_id, void* stream) {
  require(p.images <= kMostBlocks && p.height <= kMostBlocks &&
              p.width * p.channels < (1LL << 31) - kThreads,
          "phase_expand",
          "on a GPU, the small map must have at most 65,535 images and rows, and 2^31 numbers in a "
          "row");
  const CudaDeviceGuard guard(device_id);
  bool packed = whole_packs(p.dtype, p.channels / p.groups);
  for (const void* array : {p.corners, p.rows, p.columns, p.insides,
                            static_cast<const void*>(p.bias), static_cast<const void*>(p.out)}) {
    packed = packed && pack_aligned(array);
  }
  with_chunks(p.dtype, packed, [&](auto zero, auto packs) {
    launch_typed<decltype(zero), decltype(packs)::value>(p, stream);
  });
}

}  // namespace vasa_cam
