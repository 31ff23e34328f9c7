// CUDA twin of dense_motion_input. A block takes a tile of 32 voxels along x and a few along z. Its
// threads first compute what each axis gives to each candidate, then look the candidates up: a lane
// for each x, a warp for each candidate in turn, going along z with the slice before in registers.
// The tile is put together in shared memory, because the five numbers of a candidate are far from
// those of the next voxel, and leaves in one piece.
#include <algorithm>

#include "common/launch.cuh"
#include "common/packs.cuh"
#include "dense_motion/dense_motion_math.h"

namespace vasa_cam {
namespace {

constexpr std::int32_t kTileX = 32;
constexpr std::int32_t kMostTileZ = 4;
constexpr std::int32_t kMostWarps = 11;
constexpr std::size_t kMostSharedBytes = 48 * 1024;
constexpr std::int64_t kMostBlocks = 1 << 30;  // the kernel goes over the rest in strides

struct Tiles {
  std::int32_t x;      // along each axis
  std::int32_t z;      //
  std::int32_t depth;  // voxels of a tile along z
  std::int64_t count;  // of all samples
};

// Shared memory of a block.
struct TileLayout {
  std::int32_t candidates;  // K + 1
  std::int32_t depth;       // voxels of a tile along z

  VASA_HD std::int32_t terms() const { return kTileX + 1 + depth; }
  VASA_HD std::int32_t row() const { return candidates * kCandidateNumbers; }
  template <class T>
  std::size_t bytes() const {
    return static_cast<std::size_t>(candidates * terms()) * sizeof(AxisTerm) +
           static_cast<std::size_t>(depth * kTileX * row()) * sizeof(T);
  }
};

// The four channels of a voxel; `Whole` says that they lie on a multiple of their size.
template <class T, bool Whole>
__device__ __forceinline__ float4 load_voxel(const T* at) {
  if constexpr (Whole && sizeof(T) == 4) {
    float values[4];
    Pack<T, 4>::load(at).to_floats(values);
    return make_float4(values[0], values[1], values[2], values[3]);
  } else if constexpr (Whole) {
    const uint2 words = __ldg(reinterpret_cast<const uint2*>(at));
    float values[4];
    detail::widen(words.x, values, T{});
    detail::widen(words.y, values + 2, T{});
    return make_float4(values[0], values[1], values[2], values[3]);
  } else {
    return make_float4(to_float(detail::read_one(at)), to_float(detail::read_one(at + 1)),
                       to_float(detail::read_one(at + 2)), to_float(detail::read_one(at + 3)));
  }
}

__device__ __forceinline__ float4 zero4() { return make_float4(0.0f, 0.0f, 0.0f, 0.0f); }

__device__ __forceinline__ float4 between(float4 low, float4 high, float upper) {
  const float lower = 1.0f - upper;
  return make_float4(lower * low.x + upper * high.x, lower * low.y + upper * high.y,
                     lower * low.z + upper * high.z, lower * low.w + upper * high.w);
}

// A slice of the sample at a place in x and y; zeros outside.
template <class T, bool Whole>
__device__ float4 look_up_slice(const T* sample, const VolumeSize& size, const AxisPlace& x,
                                const AxisPlace& y, std::int32_t z) {
  if (!within(z, size.depth)) return zero4();
  const std::int64_t line = static_cast<std::int64_t>(z) * size.height + y.low;
  const T* at = sample + (line * size.width + x.low) * kCompressedChannels;
  const T* below = at + static_cast<std::int64_t>(size.width) * kCompressedChannels;
  const bool left = within(x.low, size.width);
  const bool right = within(x.low + 1, size.width);
  const bool upper = within(y.low, size.height);
  const bool lower = within(y.low + 1, size.height);
  // Four loads that wait for memory together. Outside nothing is read.
  const float4 a = left && upper ? load_voxel<T, Whole>(at) : zero4();
  const float4 b = right && upper ? load_voxel<T, Whole>(at + kCompressedChannels) : zero4();
  const float4 c = left && lower ? load_voxel<T, Whole>(below) : zero4();
  const float4 d = right && lower ? load_voxel<T, Whole>(below + kCompressedChannels) : zero4();
  return between(between(a, b, x.upper), between(c, d, x.upper), y.upper);
}

// All terms of a tile: for each candidate those of x, then y, then z.
__device__ void fill_terms(const MotionInputParams& p, const TileLayout& layout,
                           std::int64_t sample, std::int32_t x, std::int32_t y, std::int32_t z,
                           AxisTerm* terms) {
  const auto threads = static_cast<std::int32_t>(blockDim.x * blockDim.y);
  auto at = static_cast<std::int32_t>(threadIdx.y * blockDim.x + threadIdx.x);
  for (; at < layout.candidates * layout.terms(); at += threads) {
    const std::int32_t candidate = at / layout.terms();
    const std::int32_t term = at % layout.terms();
    // Past the volume's end the last index stands in; nobody reads it.
    if (term < kTileX) {
      terms[at] = axis_term(p.keypoints, sample, candidate, 0, min(x + term, p.size.width - 1),
                            p.size.width);
    } else if (term == kTileX) {
      terms[at] = axis_term(p.keypoints, sample, candidate, 1, y, p.size.height);
    } else {
      terms[at] = axis_term(p.keypoints, sample, candidate, 2,
                            min(z + term - kTileX - 1, p.size.depth - 1), p.size.depth);
    }
  }
}

// One candidate at one x, all z of the tile; `out` is its first number of the tile's first slice.
template <class T, bool Whole>
__device__ void look_up_column(const T* sample, const VolumeSize& size, const TileLayout& layout,
                               std::int32_t depth, const AxisTerm* terms, T* out) {
  const AxisTerm x = terms[threadIdx.x];
  const AxisTerm y = terms[kTileX];
  const AxisTerm* along_z = terms + kTileX + 1;
  // Slices `held` and `held + 1`. Far outside both are zeros.
  std::int32_t held = kFarOutside;
  float4 low = zero4();
  float4 high = zero4();
  for (std::int32_t index = 0; index < depth; ++index) {
    const AxisTerm z = along_z[index];
    if (z.place.low != held) {
      low = z.place.low == held + 1
                ? high
                : look_up_slice<T, Whole>(sample, size, x.place, y.place, z.place.low);
      high = look_up_slice<T, Whole>(sample, size, x.place, y.place, z.place.low + 1);
      held = z.place.low;
    }
    const float4 value = between(low, high, z.place.upper);
    T* to = out + index * kTileX * layout.row();
    to[0] = from_float<T>(heat_of(x, y, z));
    to[1] = from_float<T>(value.x);
    to[2] = from_float<T>(value.y);
    to[3] = from_float<T>(value.z);
    to[4] = from_float<T>(value.w);
  }
}

// `count` numbers from shared memory, which begin at a multiple of 16 bytes, by the whole block.
template <class T>
__device__ void copy_out(const T* from, std::int32_t count, T* to) {
  const auto threads = static_cast<std::int32_t>(blockDim.x * blockDim.y);
  const auto thread = static_cast<std::int32_t>(threadIdx.y * blockDim.x + threadIdx.x);
  const bool whole = (reinterpret_cast<std::uintptr_t>(to) & 15u) == 0;
  const std::int32_t packs = whole ? count / kPack<T> : 0;
  for (std::int32_t pack = thread; pack < packs; pack += threads) {
    reinterpret_cast<uint4*>(to)[pack] = reinterpret_cast<const uint4*>(from)[pack];
  }
  for (std::int32_t at = packs * kPack<T> + thread; at < count; at += threads) to[at] = from[at];
}

struct TiledInput {
  MotionInputParams params;
  Tiles tiles;
  TileLayout layout;
};

template <class T, bool Whole>
__global__ void __launch_bounds__(kTileX* kMostWarps) motion_input_kernel(TiledInput input) {
  const MotionInputParams& p = input.params;
  const Tiles& tiles = input.tiles;
  const TileLayout& layout = input.layout;
  auto* terms = reinterpret_cast<AxisTerm*>(dynamic_shared());
  auto* staged = reinterpret_cast<T*>(terms + layout.candidates * layout.terms());
  const VolumeSize size = p.size;
  for (std::int64_t tile = blockIdx.x; tile < tiles.count; tile += gridDim.x) {
    std::int64_t rest = tile;
    const auto x = static_cast<std::int32_t>(rest % tiles.x) * kTileX;
    rest /= tiles.x;
    const auto y = static_cast<std::int32_t>(rest % size.height);
    rest /= size.height;
    const auto z = static_cast<std::int32_t>(rest % tiles.z) * tiles.depth;
    const std::int64_t sample = rest / tiles.z;
    const std::int32_t width = min(kTileX, size.width - x);
    const std::int32_t depth = min(tiles.depth, size.depth - z);

    fill_terms(p, layout, sample, x, y, z, terms);
    __syncthreads();
    const T* compressed = static_cast<const T*>(p.compressed) + sample * p.sample_stride;
    if (static_cast<std::int32_t>(threadIdx.x) < width) {
      for (auto candidate = static_cast<std::int32_t>(threadIdx.y); candidate < layout.candidates;
           candidate += static_cast<std::int32_t>(blockDim.y)) {
        look_up_column<T, Whole>(compressed, size, layout, depth,
                                 terms + candidate * layout.terms(),
                                 staged + static_cast<std::int32_t>(threadIdx.x) * layout.row() +
                                     candidate * kCandidateNumbers);
      }
    }
    __syncthreads();
    for (std::int32_t index = 0; index < depth; ++index) {
      const std::int64_t line = (sample * size.depth + z + index) * size.height + y;
      copy_out(staged + index * kTileX * layout.row(), width * layout.row(),
               static_cast<T*>(p.out) + (line * size.width + x) * layout.row());
    }
    // The next tile overwrites what others may still be copying.
    __syncthreads();
  }
}

template <class T>
void launch(const MotionInputParams& p, void* stream) {
  const std::int32_t candidates = p.keypoints.count + 1;
  TileLayout layout{candidates, std::min(kMostTileZ, p.size.depth)};
  while (layout.depth > 1 && layout.bytes<T>() > kMostSharedBytes) layout.depth = layout.depth / 2;
  static_assert((kMostKeypoints + 1) * ((kTileX + 2) * sizeof(AxisTerm) +
                                        kTileX * kCandidateNumbers * sizeof(float)) <=
                    kMostSharedBytes,
                "a tile of one slice fits");
  // As many rounds as a warp has to go, with all warps busy in the last.
  const std::int32_t rounds = (candidates + kMostWarps - 1) / kMostWarps;
  const dim3 threads(kTileX, static_cast<unsigned>((candidates + rounds - 1) / rounds));
  Tiles tiles{(p.size.width + kTileX - 1) / kTileX,
              (p.size.depth + layout.depth - 1) / layout.depth, layout.depth, 0};
  tiles.count = p.samples * tiles.z * p.size.height * tiles.x;
  const auto blocks = static_cast<unsigned>(std::min(tiles.count, kMostBlocks));
  const LaunchShape shape{dim3(blocks), threads, layout.bytes<T>()};
  const TiledInput input{p, tiles, layout};
  constexpr std::uintptr_t voxel_bytes = kCompressedChannels * sizeof(T);
  const bool whole = reinterpret_cast<std::uintptr_t>(p.compressed) % voxel_bytes == 0;
  launch_kernel(whole ? motion_input_kernel<T, true> : motion_input_kernel<T, false>, shape, stream,
                input);
}

}  // namespace

void launch_motion_input(const MotionInputParams& p, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  with_float_type(p.dtype, [&](auto element) { launch<decltype(element)>(p, stream); });
}

}  // namespace vasa_cam
