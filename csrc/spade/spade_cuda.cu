// CUDA twin of statistics and modulation, on the caller's stream. Statistics are two kernels, of
// parts and of whole images; every sum has one order, so a result doesn't depend on the device.
#include "spade/chunks.cuh"
#include "spade/spade_math.h"

namespace vasa_cam {
namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

// Of a block of part_kernel: kAcross threads for chunks of channels side by side (128 bytes of
// memory), kDown for pixels.
template <bool kPacked>
struct PartShape {
  static constexpr int kAcross = kPacked ? 8 : kWarp;
  static constexpr int kDown = kThreads / kAcross;
  static constexpr int kSteps = static_cast<int>(kPixelsOfPart) / kDown;  // pixels of a thread
  static constexpr int kRowsOfWarp = kWarp / kAcross;
};

// Values that one thread, warp or block has seen of kCount channels.
template <int kCount>
struct Moments {
  float count;
  float mean[kCount];
  float squares[kCount];
};

template <int kCount>
__device__ __forceinline__ void join_moments(const Moments<kCount>& more, Moments<kCount>* all) {
  const JoinWeights<float> weights = join_weights(all->count, more.count);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    join(weights, more.mean[i], more.squares[i], &all->mean[i], &all->squares[i]);
  }
  all->count += more.count;
}

// The pixels first, first + kDown, ... of one thread. In place of those past the end it reads its
// first again, whose distance to itself adds nothing: so all loads are on their way at once.
template <bool kPacked, class T, int kCount>
__device__ __forceinline__ Moments<kCount> moments_of(const T* origin, const T* x, int first,
                                                      int pixels, std::int64_t channels) {
  using Shape = PartShape<kPacked>;
  Moments<kCount> m{};
  if (first >= pixels) return m;
  Pack<T, kCount> packs[Shape::kSteps];
#pragma unroll
  for (int step = 0; step < Shape::kSteps; ++step) {
    const int pixel = first + step * Shape::kDown;
    packs[step] = Pack<T, kCount>::load(x + (pixel < pixels ? pixel : first) * channels);
  }
  float image_first[kCount];
  float shift[kCount];
  float sum[kCount] = {};
  float square_sum[kCount] = {};
  load_chunk(origin, image_first);
  packs[0].to_floats(shift);
#pragma unroll
  for (int step = 1; step < Shape::kSteps; ++step) {
    float value[kCount];
    packs[step].to_floats(value);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float distance = value[i] - shift[i];
      sum[i] += distance;
      square_sum[i] += distance * distance;
    }
  }
  m.count = static_cast<float>((pixels - first + Shape::kDown - 1) / Shape::kDown);
  const float reciprocal = __fdividef(1.0f, m.count);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    unshift(image_first[i], shift[i], sum[i], square_sum[i], reciprocal, &m.mean[i], &m.squares[i]);
  }
  return m;
}

// A block for one part and one slab of channels of an image.
template <class T, bool kPacked>
__global__ void __launch_bounds__(kThreads) part_kernel(StatisticsParams p) {
  using Shape = PartShape<kPacked>;
  constexpr int kCount = kChunk<T, kPacked>;
  constexpr int kSlab = Shape::kAcross * kCount;
  __shared__ float counts[kWarps];
  __shared__ float means[kWarps][kSlab];
  __shared__ float squares[kWarps][kSlab];
  const int lane = static_cast<int>(threadIdx.x) % Shape::kAcross;
  const int row = static_cast<int>(threadIdx.x) / Shape::kAcross;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t slab = static_cast<std::int64_t>(blockIdx.y) * kSlab;
  const std::int64_t channel = slab + lane * kCount;
  const std::int64_t part = blockIdx.x;
  const std::int64_t image = blockIdx.z;
  // Every thread takes part in the exchanges below; those past the last channel have seen nothing.
  const int pixels = channel < p.channels ? static_cast<int>(pixels_of_part(p, part)) : 0;
  const T* origin = static_cast<const T*>(p.x) + image * p.pixels * p.channels + channel;
  const T* x = origin + part * kPixelsOfPart * p.channels;
  Moments<kCount> m = moments_of<kPacked, T, kCount>(origin, x, row, pixels, p.channels);
#pragma unroll
  for (int apart = kWarp / 2; apart >= Shape::kAcross; apart /= 2) {
    Moments<kCount> other;
    other.count = __shfl_down_sync(0xffffffffu, m.count, apart);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      other.mean[i] = __shfl_down_sync(0xffffffffu, m.mean[i], apart);
      other.squares[i] = __shfl_down_sync(0xffffffffu, m.squares[i], apart);
    }
    join_moments(other, &m);
  }
  if (row % Shape::kRowsOfWarp == 0) {
    // All channels of a slab have seen as many pixels, and the first is always one of the image's.
    if (lane == 0) counts[warp] = m.count;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      means[warp][lane * kCount + i] = m.mean[i];
      squares[warp][lane * kCount + i] = m.squares[i];
    }
  }
  __syncthreads();
  const int at = static_cast<int>(threadIdx.x);
  if (at >= kSlab || slab + at >= p.channels) return;
  Moments<1> whole{};
#pragma unroll
  for (int from = 0; from < kWarps; ++from) {
    join_moments(Moments<1>{counts[from], {means[from][at]}, {squares[from][at]}}, &whole);
  }
  float* target = p.partial + (image * p.parts + part) * 2 * p.channels + slab + at;
  target[0] = whole.mean[0];
  target[p.channels] = whole.squares[0];
}

// A block for 32 channels of an image: each of its rows joins every kWarps-th part.
template <class T>
__global__ void __launch_bounds__(kThreads) join_kernel(StatisticsParams p) {
  __shared__ float counts[kWarps];
  __shared__ float means[kWarps][kWarp];
  __shared__ float squares[kWarps][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * kWarp + lane;
  const std::int64_t image = blockIdx.y;
  const bool active = channel < p.channels;
  Moments<1> m{};
#pragma unroll 4
  for (std::int64_t part = warp; part < p.parts; part += kWarps) {
    Moments<1> more{static_cast<float>(pixels_of_part(p, part)), {0.0f}, {0.0f}};
    if (active) {
      const float* from = p.partial + (image * p.parts + part) * 2 * p.channels + channel;
      more.mean[0] = from[0];
      more.squares[0] = from[p.channels];
    }
    join_moments(more, &m);
  }
  if (lane == 0) counts[warp] = m.count;
  means[warp][lane] = m.mean[0];
  squares[warp][lane] = m.squares[0];
  __syncthreads();
  if (warp != 0 || !active) return;
#pragma unroll
  for (int from = 1; from < kWarps; ++from) {
    join_moments(Moments<1>{counts[from], {means[from][lane]}, {squares[from][lane]}}, &m);
  }
  float* out = p.out + image * 2 * p.channels + channel;
  const T* origin = static_cast<const T*>(p.x) + image * p.pixels * p.channels + channel;
  out[0] = to_float(*origin) + m.mean[0];
  out[p.channels] = 1.0f / sqrtf(m.squares[0] / static_cast<float>(p.pixels) + kVarianceEpsilon);
}

// Pixels of the output for one thread, which keeps its channels' statistics in registers.
constexpr int kPixelsOfThread = 4;

template <int kCount>
struct ChannelNumbers {
  float mean[kCount];
  float rstd[kCount];
  float gamma[kCount];
  float beta[kCount];
};

// A thread for one chunk of channels: of the 2x2 pixels that one of x becomes with a factor of 2,
// of four pixels of a row otherwise. Neighbouring threads have neighbouring chunks.
template <class T, bool kPacked, int kFactor>
__global__ void __launch_bounds__(kThreads) modulate_kernel(ModulateParams p) {
  constexpr int kCount = kChunk<T, kPacked>;
  const unsigned chunks = static_cast<unsigned>(p.channels / kCount);
  const unsigned width = static_cast<unsigned>(p.width);
  const unsigned columns = kFactor == 2 ? width : (width + kPixelsOfThread - 1) / kPixelsOfThread;
  const unsigned item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= columns * chunks) return;
  const unsigned column = item / chunks;
  const int channel = static_cast<int>(item - column * chunks) * kCount;
  const std::int64_t image = blockIdx.z;
  const std::int64_t row = image * p.height + blockIdx.y;
  const float* statistics = p.statistics + image * 2 * p.channels + channel;
  ChannelNumbers<kCount> numbers{};
  load_numbers(statistics, numbers.mean);
  load_numbers(statistics + p.channels, numbers.rstd);
  if (p.bias != nullptr) {
    load_numbers(p.bias + channel, numbers.gamma);
    load_numbers(p.bias + p.channels + channel, numbers.beta);
  }
  const T* x = static_cast<const T*>(p.x) + row * p.width * p.channels + channel;
  const T* maps = static_cast<const T*>(p.gamma_beta) + channel;
  T* out = static_cast<T*>(p.out) + channel;
  // All loads are on their way before the first is needed. Past the row's end the first pixel is
  // read again and nothing is written: a jump around a load would make the next one wait.
  std::int64_t pixels[kPixelsOfThread];
  Pack<T, kCount> inputs[kFactor == 2 ? 1 : kPixelsOfThread];
  Pack<T, kCount> gammas[kPixelsOfThread];
  Pack<T, kCount> betas[kPixelsOfThread];
  if constexpr (kFactor == 2) inputs[0] = Pack<T, kCount>::load(x + column * p.channels);
#pragma unroll
  for (int at = 0; at < kPixelsOfThread; ++at) {
    if constexpr (kFactor == 2) {
      pixels[at] = (2 * row + at / 2) * 2 * p.width + 2 * column + at % 2;
    } else {
      const unsigned wanted = column + static_cast<unsigned>(at) * columns;
      const unsigned place = wanted < width ? wanted : column;
      inputs[at] = Pack<T, kCount>::load(x + place * p.channels);
      pixels[at] = row * p.width + place;
    }
    gammas[at] = Pack<T, kCount>::load(maps + pixels[at] * 2 * p.channels);
    betas[at] = Pack<T, kCount>::load(maps + (pixels[at] * 2 + 1) * p.channels);
  }
#pragma unroll
  for (int at = 0; at < kPixelsOfThread; ++at) {
    float value[kCount];
    float gamma[kCount];
    float y[kCount];
    inputs[kFactor == 2 ? 0 : at].to_floats(value);
    gammas[at].to_floats(gamma);
    betas[at].to_floats(y);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      y[i] = modulate(value[i], numbers.mean[i], numbers.rstd[i], gamma[i] + numbers.gamma[i],
                      y[i] + numbers.beta[i], p.slope);
    }
    if (kFactor == 2 || column + static_cast<unsigned>(at) * columns < width) {
      store_chunk(out + pixels[at] * p.channels, y);
    }
  }
}

}  // namespace

void launch_statistics(const StatisticsParams& p, int device_id, void* stream) {
  constexpr const char* op = "instance_statistics";
  require(p.images <= kMostBlocks && p.channels <= kMostBlocks && p.parts < (1LL << 31), op,
          "on a GPU, x must have at most 65,535 images and channels, and 2^39 pixels");
  const CudaDeviceGuard guard(device_id);
  const bool packed = whole_packs(p.dtype, p.channels) && pack_aligned(p.x);
  with_chunks(p.dtype, packed, [&](auto zero, auto packs) {
    using T = decltype(zero);
    constexpr bool kPacked = decltype(packs)::value;
    constexpr int kSlab = PartShape<kPacked>::kAcross * kChunk<T, kPacked>;
    const dim3 blocks(static_cast<unsigned>(p.parts), blocks_for(p.channels, kSlab),
                      static_cast<unsigned>(p.images));
    launch_kernel(part_kernel<T, kPacked>, blocks, kThreads, stream, p);
  });
  const dim3 blocks(blocks_for(p.channels, kWarp), static_cast<unsigned>(p.images));
  with_float_type(p.dtype, [&](auto zero) {
    launch_kernel(join_kernel<decltype(zero)>, blocks, kThreads, stream, p);
  });
}

void launch_modulate(const ModulateParams& p, int device_id, void* stream) {
  require(p.images <= kMostBlocks && p.height <= kMostBlocks &&
              p.width * p.channels < (1LL << 31) - kThreads,
          "spade_modulate",
          "on a GPU, x must have at most 65,535 images and rows, and 2^31 "
          "numbers in a row");
  const CudaDeviceGuard guard(device_id);
  const bool packed = whole_packs(p.dtype, p.channels) && pack_aligned(p.x) &&
                      pack_aligned(p.gamma_beta) && pack_aligned(p.out) &&
                      pack_aligned(p.statistics) && pack_aligned(p.bias);
  with_chunks(p.dtype, packed, [&](auto zero, auto packs) {
    using T = decltype(zero);
    constexpr bool kPacked = decltype(packs)::value;
    const std::int64_t chunks = p.channels / kChunk<T, kPacked>;
    const std::int64_t columns =
        p.factor == 2 ? p.width : (p.width + kPixelsOfThread - 1) / kPixelsOfThread;
    const dim3 blocks(blocks_for(columns * chunks, kThreads), static_cast<unsigned>(p.height),
                      static_cast<unsigned>(p.images));
    if (p.factor == 2) {
      launch_kernel(modulate_kernel<T, kPacked, 2>, blocks, kThreads, stream, p);
    } else {
      launch_kernel(modulate_kernel<T, kPacked, 1>, blocks, kThreads, stream, p);
    }
  });
}

}  // namespace vasa_cam
