#include "warp_mesh/warp_data.h"

#include <algorithm>
#include <cstring>

#include "common/memory_block.h"
#include "vasa_cam/error.h"

namespace vasa_cam {
namespace {

constexpr const char* kOp = "WarpMesh";
// Texture offsets are multiplied by kSteps in 32 bits.
constexpr std::int64_t kMaxTexels = 32768;

// Copies an image of `size` bytes per texel into its padded place, repeating its border.
void copy_padded(const void* source, WarpData& m, std::int64_t size, void* target) {
  const auto* from = static_cast<const std::uint8_t*>(source);
  auto* to = static_cast<std::uint8_t*>(target);
  for (std::int64_t y = 0; y < m.height + 2 * kPad; ++y) {
    const std::int64_t source_y = std::clamp<std::int64_t>(y - kPad, 0, m.height - 1);
    for (std::int64_t x = 0; x < m.stride; ++x) {
      const std::int64_t source_x = std::clamp<std::int64_t>(x - kPad, 0, m.width - 1);
      std::memcpy(to + (y * m.stride + x) * size, from + (source_y * m.width + source_x) * size,
                  static_cast<std::size_t>(size));
    }
  }
}

// visible[cell] = 1 where one of the texels at -1..2 of it, both ways, is not transparent.
void fill_visible(const WarpData& m, std::uint8_t* visible) {
  const std::int64_t rows = m.height + 2 * kPad;
  for (std::int64_t y = 0; y < rows; ++y) {
    for (std::int64_t x = 0; x < m.stride; ++x) {
      std::uint8_t found = 0;
      for (std::int64_t j = std::max<std::int64_t>(y - 1, 0); j <= std::min(y + 2, rows - 1); ++j) {
        const std::int64_t last = std::min(x + 2, m.stride - 1);
        for (std::int64_t i = std::max<std::int64_t>(x - 1, 0); i <= last; ++i) {
          found = static_cast<std::uint8_t>(found | m.texture[4 * (j * m.stride + i) + 3]);
        }
      }
      visible[y * m.stride + x] = found != 0 ? 1 : 0;
    }
  }
}

void fill_weights(float* across, float* down) {
  for (std::int32_t step = 0; step < kSteps; ++step) {
    catmull_rom(static_cast<float>(step) / kSteps, down + 4 * step);
    for (std::int32_t i = 0; i < 16; ++i) across[16 * step + i] = down[4 * step + i / 4];
  }
}

}  // namespace

WarpSizes check_warp_tensors(const WarpTensors& t) {
  check_tensor(t.uv, kOp, "uv", DType::f32, Device::cpu, {kAnySize, 2});
  check_tensor(t.triangles, kOp, "triangles", DType::i32, Device::cpu, {kAnySize, 3});
  check_tensor(t.texture, kOp, "texture", DType::u8, Device::cpu, {kAnySize, kAnySize, 4});
  const std::int64_t height = t.texture.shape[0];
  const std::int64_t width = t.texture.shape[1];
  require(height > 0 && width > 0 && height <= kMaxTexels && width <= kMaxTexels, kOp,
          "texture must be 1 to 32768 pixels high and wide");
  WarpSizes size;
  size.vertices = t.uv.shape[0];
  size.triangles = t.triangles.shape[0];
  require(size.triangles <= INT32_MAX, kOp, "too many triangles");
  size.width = static_cast<std::int32_t>(width);
  size.height = static_cast<std::int32_t>(height);
  size.detail = t.detail.numel() > 0;
  if (size.detail) {
    check_tensor(t.detail, kOp, "detail", DType::i8, Device::cpu, {height, width});
  }
  return size;
}

WarpData lay_out(const WarpSizes& size, char* base, PackedVertex** packed, std::int64_t* bytes) {
  Layout layout(base);
  WarpData data{};
  data.vertices = size.vertices;
  data.triangles = size.triangles;
  data.width = size.width;
  data.height = size.height;
  data.stride = size.width + 2 * kPad;
  const std::int64_t texels = data.stride * (size.height + 2 * kPad);
  data.uv = layout.take<float>(2 * size.vertices);
  data.indices = layout.take<std::int32_t>(3 * size.triangles);
  data.texture = layout.take<std::uint8_t>(4 * texels);
  data.visible = layout.take<std::uint8_t>(texels);
  data.detail = size.detail ? layout.take<std::int8_t>(texels) : nullptr;
  data.across = layout.take<float>(16 * kSteps);
  data.down = layout.take<float>(4 * kSteps);
  *packed = layout.take<PackedVertex>(size.vertices);
  *bytes = layout.bytes();
  return data;
}

void fill_warp_data(const WarpTensors& tensors, WarpData& m) {
  const auto copy = [](const TensorView& from, const void* to, std::size_t element) {
    if (from.numel() == 0) return;
    std::memcpy(const_cast<void*>(to), from.data, static_cast<std::size_t>(from.numel()) * element);
  };
  copy(tensors.uv, m.uv, sizeof(float));
  copy(tensors.triangles, m.indices, sizeof(std::int32_t));
  copy_padded(tensors.texture.data, m, 4, const_cast<std::uint8_t*>(m.texture));
  if (m.detail != nullptr) {
    copy_padded(tensors.detail.data, m, 1, const_cast<std::int8_t*>(m.detail));
  }
  fill_visible(m, const_cast<std::uint8_t*>(m.visible));
  fill_weights(const_cast<float*>(m.across), const_cast<float*>(m.down));
}

}  // namespace vasa_cam
