// CUDA twin: a warp finds the pixels of a triangle and keeps the nearest one by an atomic minimum
// of (depth, triangle) in 64 bits; then a thread for each pixel shades it; then another smooths
// edges.
#include "common/cuda_check.cuh"
#include "common/memory_block.h"
#include "warp_mesh/warp_math.h"

namespace vasa_cam {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr unsigned long long kNobody = ~0ull;

// Scratch of a frame on the device.
struct WarpScratch {
  unsigned long long* nearest;  // [H, W] depth and triangle
  float2* coordinates;          // [H, W] texture px
  uchar4* colours;              // [H, W] before antialiasing
};

WarpScratch lay_out_scratch(std::int64_t pixels, char* base, std::int64_t* bytes) {
  Layout layout(base);
  WarpScratch scratch{};
  scratch.nearest = layout.take<unsigned long long>(pixels);
  scratch.coordinates = layout.take<float2>(pixels);
  scratch.colours = layout.take<uchar4>(pixels);
  *bytes = layout.bytes();
  return scratch;
}

__device__ std::int64_t global_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// Bits that sort as unsigned numbers like the floats do.
__device__ unsigned sortable(float value) {
  const unsigned bits = __float_as_uint(value);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

__global__ void pack_kernel(WarpFrame f) {
  const std::int64_t index = global_index();
  if (index < f.mesh.vertices) f.packed[index] = pack_vertex(f, index);
}

__global__ void clear_kernel(WarpScratch scratch, std::int64_t pixels) {
  const std::int64_t index = global_index();
  if (index < pixels) scratch.nearest[index] = kNobody;
}

struct Weights {
  float w1, w2;
};

__device__ Weights weights_at(const Barycentric& plane, const PackedVertex& a, int x, int y) {
  const float dx = static_cast<float>(x) - a.x;
  const float dy = static_cast<float>(y) - a.y;
  return {dx * plane.x1 + dy * plane.y1, dx * plane.x2 + dy * plane.y2};
}

__device__ float blend(float a, float b, float c, const Weights& w) {
  return a + w.w1 * (b - a) + w.w2 * (c - a);
}

// One warp for each triangle; its lanes take the pixels of the box in turn.
__global__ void visibility_kernel(WarpFrame f, WarpScratch scratch) {
  const std::int64_t triangle = global_index() / kWarp;
  if (triangle >= f.mesh.triangles) return;
  const std::int32_t* corners = f.mesh.indices + 3 * triangle;
  const PackedVertex a = f.packed[corners[0]];
  const PackedVertex b = f.packed[corners[1]];
  const PackedVertex c = f.packed[corners[2]];
  if (a.unusable + b.unusable + c.unusable != 0.0f) return;
  const Barycentric plane = barycentric(a, b, c);
  const PixelRange columns = pixel_range(a.x, b.x, c.x, f.width);
  const PixelRange rows = pixel_range(a.y, b.y, c.y, f.height);
  if (!plane.usable || columns.first > columns.last || rows.first > rows.last) return;
  const std::int64_t width = columns.last - columns.first + 1;
  const std::int64_t count = width * (rows.last - rows.first + 1);
  for (std::int64_t pixel = threadIdx.x % kWarp; pixel < count; pixel += kWarp) {
    const auto x = static_cast<std::int32_t>(columns.first + pixel % width);
    const auto y = static_cast<std::int32_t>(rows.first + pixel / width);
    const Weights w = weights_at(plane, a, x, y);
    if (!(w.w1 >= kInside && w.w2 >= kInside && w.w1 + w.w2 <= 1.0f - kInside)) continue;
    const unsigned long long depth = sortable(blend(a.z, b.z, c.z, w));
    atomicMin(scratch.nearest + static_cast<std::int64_t>(y) * f.width + x,
              (depth << 32) | static_cast<unsigned>(triangle));
  }
}

// Bicubic lookup of the padded texture at texture steps.
__device__ uchar4 look_up(const WarpFrame& f, float u, float v, float shade, float fold) {
  const WarpData& m = f.mesh;
  const std::int32_t across = texture_steps(u, m.width);
  const std::int32_t down = texture_steps(v, m.height);
  const std::int64_t cell = (down >> kStepBits) * m.stride + (across >> kStepBits);
  if (m.visible[cell] == 0) return make_uchar4(0, 0, 0, 0);
  const float* columns = m.down + 4 * (across & (kSteps - 1));
  const float* rows = m.down + 4 * (down & (kSteps - 1));
  const auto* texels = reinterpret_cast<const uchar4*>(m.texture) + cell - m.stride - 1;
  float red = 0.0f;
  float green = 0.0f;
  float blue = 0.0f;
  float alpha = 0.0f;
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 4; ++i) {
      const uchar4 texel = texels[j * m.stride + i];
      const float weight = rows[j] * columns[i];
      red += weight * texel.x;
      green += weight * texel.y;
      blue += weight * texel.z;
      alpha += weight * texel.w;
    }
  }
  const float light = light_of(m, f.options.detail_gain, shade, fold, across, down);
  const std::uint8_t shown = to_byte(alpha);
  if (shown == 0) return make_uchar4(0, 0, 0, 0);
  return make_uchar4(to_byte(red * light), to_byte(green * light), to_byte(blue * light), shown);
}

__global__ void shade_kernel(WarpFrame f, WarpScratch scratch) {
  const std::int64_t index = global_index();
  if (index >= static_cast<std::int64_t>(f.width) * f.height) return;
  const unsigned long long winner = scratch.nearest[index];
  if (winner == kNobody) {
    scratch.coordinates[index] = make_float2(kUncovered, kUncovered);
    scratch.colours[index] = make_uchar4(0, 0, 0, 0);
    return;
  }
  const std::int32_t* corners =
      f.mesh.indices + 3 * static_cast<std::int64_t>(winner & 0xffffffffu);
  const PackedVertex a = f.packed[corners[0]];
  const PackedVertex b = f.packed[corners[1]];
  const PackedVertex c = f.packed[corners[2]];
  const Weights w = weights_at(barycentric(a, b, c), a, static_cast<int>(index % f.width),
                               static_cast<int>(index / f.width));
  const float u = blend(a.u, b.u, c.u, w);
  const float v = blend(a.v, b.v, c.v, w);
  scratch.coordinates[index] = make_float2(u, v);
  scratch.colours[index] =
      look_up(f, u, v, blend(a.shade, b.shade, c.shade, w), blend(a.fold, b.fold, c.fold, w));
}

// Whether the texture coordinate differs from the left or upper neighbour's; not at the border.
__device__ bool is_jump(const WarpFrame& f, const float2* coordinates, int x, int y) {
  if (x < 0 || y < 0 || x >= f.width || y >= f.height) return false;
  const float2* here = coordinates + static_cast<std::int64_t>(y) * f.width + x;
  const float2 left = x > 0 ? here[-1] : here[0];
  const float2 above = y > 0 ? here[-f.width] : here[0];
  const float2 step = make_float2(fmaxf(fabsf(here->x - left.x), fabsf(here->x - above.x)),
                                  fmaxf(fabsf(here->y - left.y), fabsf(here->y - above.y)));
  return fmaxf(step.x, step.y) > f.options.edge_jump;
}

__global__ void smooth_kernel(WarpFrame f, WarpScratch scratch) {
  const std::int64_t index = global_index();
  if (index >= static_cast<std::int64_t>(f.width) * f.height) return;
  const auto x = static_cast<int>(index % f.width);
  const auto y = static_cast<int>(index / f.width);
  bool smooth = false;
  uchar4 pixels[9];
  for (int k = 0; k < 9; ++k) {
    const int column = x + k % 3 - 1;
    const int row = y + k / 3 - 1;
    smooth = smooth || is_jump(f, scratch.coordinates, column, row);
    const std::int64_t inside_row = min(max(row, 0), f.height - 1);
    pixels[k] = scratch.colours[inside_row * f.width + min(max(column, 0), f.width - 1)];
  }
  auto* out = reinterpret_cast<uchar4*>(f.out) + index;
  *out = pixels[4];
  if (smooth) {
    smooth_pixel(reinterpret_cast<const std::uint8_t*>(pixels),
                 reinterpret_cast<std::uint8_t*>(out));
  }
}

}  // namespace

std::int64_t warp_cuda_scratch_bytes(std::int32_t width, std::int32_t height) {
  std::int64_t bytes = 0;
  lay_out_scratch(static_cast<std::int64_t>(width) * height, nullptr, &bytes);
  return bytes;
}

void launch_warp_mesh(const WarpFrame& f, char* memory, int device_id, void* stream) {
  const CudaDeviceGuard guard(device_id);
  auto* cuda_stream = static_cast<cudaStream_t>(stream);
  const std::int64_t pixels = static_cast<std::int64_t>(f.width) * f.height;
  std::int64_t bytes = 0;
  const WarpScratch scratch = lay_out_scratch(pixels, memory, &bytes);
  const unsigned pixel_blocks = blocks_for(pixels, kThreads);
  clear_kernel<<<pixel_blocks, kThreads, 0, cuda_stream>>>(scratch, pixels);
  VASA_CUDA_CHECK(cudaGetLastError());
  if (f.mesh.vertices > 0 && f.mesh.triangles > 0) {
    pack_kernel<<<blocks_for(f.mesh.vertices, kThreads), kThreads, 0, cuda_stream>>>(f);
    VASA_CUDA_CHECK(cudaGetLastError());
    const unsigned blocks = blocks_for(f.mesh.triangles * kWarp, kThreads);
    visibility_kernel<<<blocks, kThreads, 0, cuda_stream>>>(f, scratch);
    VASA_CUDA_CHECK(cudaGetLastError());
  }
  shade_kernel<<<pixel_blocks, kThreads, 0, cuda_stream>>>(f, scratch);
  VASA_CUDA_CHECK(cudaGetLastError());
  smooth_kernel<<<pixel_blocks, kThreads, 0, cuda_stream>>>(f, scratch);
  VASA_CUDA_CHECK(cudaGetLastError());
}

}  // namespace vasa_cam
