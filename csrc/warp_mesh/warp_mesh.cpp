#include "vasa_cam/warp_mesh.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "common/memory_block.h"
#include "common/thread_pool.h"
#include "vasa_cam/dispatch.h"
#include "vasa_cam/error.h"
#include "warp_mesh/warp_band.h"
#include "warp_mesh/warp_data.h"

namespace vasa_cam {

VASA_SIMD_DECLARE(pack_vertices, const WarpFrame& f, std::int64_t begin, std::int64_t end);
VASA_SIMD_DECLARE(find_rows, const WarpFrame& f, RowRange* touched, std::int64_t begin,
                  std::int64_t end);
VASA_SIMD_DECLARE(draw_band, const WarpFrame& f, const WarpBand& band,
                  const std::int32_t* triangles, std::int64_t count, const RowRange* touched);
void launch_warp_mesh(const WarpFrame& f, char* scratch, int device_id, void* stream);
std::int64_t warp_cuda_scratch_bytes(std::int32_t width, std::int32_t height);

namespace {

constexpr const char* kOp = "warp_mesh";
constexpr std::int64_t kItemsPerRange = 4096;
constexpr std::int64_t kMaxPixels = 32768;

// Triangles of every band, in ascending order, so that ties go to the lowest one.
struct BandLists {
  std::vector<RowRange> touched;        // [T]
  std::vector<std::int32_t> starts;     // [bands + 1]
  std::vector<std::int32_t> triangles;  // [starts.back()]

  void sort(std::int32_t height) {
    const std::int32_t bands = (height + kBandRows - 1) / kBandRows;
    starts.assign(static_cast<std::size_t>(bands) + 1, 0);
    const auto for_bands = [&](const RowRange& rows, auto&& use) {
      if (rows.last < rows.first) return;
      // A row is drawn by the bands that it, or a row up to kRowsAbove below or kRowsBelow above
      // it, belongs to.
      const std::int32_t last = std::min((rows.last + kRowsAbove) / kBandRows, bands - 1);
      for (std::int32_t band = std::max(rows.first - kRowsBelow, 0) / kBandRows; band <= last;
           ++band) {
        use(band);
      }
    };
    for (const RowRange& rows : touched) {
      for_bands(rows, [&](std::int32_t band) { ++starts[static_cast<std::size_t>(band) + 1]; });
    }
    for (std::size_t band = 1; band < starts.size(); ++band) starts[band] += starts[band - 1];
    triangles.resize(static_cast<std::size_t>(starts.back()));
    next.assign(starts.begin(), starts.end());
    for (std::size_t triangle = 0; triangle < touched.size(); ++triangle) {
      for_bands(touched[triangle], [&](std::int32_t band) {
        triangles[static_cast<std::size_t>(next[static_cast<std::size_t>(band)]++)] =
            static_cast<std::int32_t>(triangle);
      });
    }
  }

 private:
  std::vector<std::int32_t> next;
};

// This thread's scratch for bands of a width; it only grows.
WarpBand thread_band(std::int32_t width) {
  thread_local std::unique_ptr<MemoryBlock> memory;
  thread_local std::int64_t capacity = 0;
  std::int64_t bytes = 0;
  lay_out_band(width, nullptr, &bytes);
  if (bytes > capacity) {
    memory = std::make_unique<MemoryBlock>(bytes, Device::cpu, 0);
    capacity = bytes;
  }
  return lay_out_band(width, memory->data(), &bytes);
}

void run_cpu(const WarpFrame& f, BandLists& lists) {
  parallel_for(f.mesh.vertices, kItemsPerRange, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(pack_vertices, f, begin, end);
  });
  lists.touched.resize(static_cast<std::size_t>(f.mesh.triangles));
  parallel_for(f.mesh.triangles, kItemsPerRange, [&](std::int64_t begin, std::int64_t end) {
    VASA_SIMD_CALL(find_rows, f, lists.touched.data(), begin, end);
  });
  lists.sort(f.height);
  parallel_for(f.height, kBandRows, [&](std::int64_t begin, std::int64_t end) {
    WarpBand band = thread_band(f.width);
    band.first = static_cast<std::int32_t>(begin);
    band.end = static_cast<std::int32_t>(end);
    const std::size_t index = static_cast<std::size_t>(begin / kBandRows);
    const std::int32_t start = lists.starts[index];
    VASA_SIMD_CALL(draw_band, f, band, lists.triangles.data() + start,
                   lists.starts[index + 1] - start, lists.touched.data());
  });
}

}  // namespace

struct WarpMesh::State {
  State(const WarpSizes& size, std::int64_t bytes, Device where, int ordinal)
      : device(where), device_id(ordinal), memory(bytes, where, ordinal) {
    std::int64_t used = 0;
    frame.mesh = lay_out(size, memory.data(), &frame.packed, &used);
  }

  Device device;
  int device_id;
  MemoryBlock memory;
  WarpFrame frame{};  // with what never changes
  BandLists lists;
  std::unique_ptr<MemoryBlock> cuda_scratch;
  std::int64_t cuda_scratch_bytes = 0;
  std::mutex drawing;  // the scratch serves one frame at a time
};

WarpMesh::WarpMesh(const WarpTensors& tensors, Device device, int device_id) {
  const WarpSizes size = check_warp_tensors(tensors);
  PackedVertex* packed = nullptr;
  std::int64_t bytes = 0;
  lay_out(size, nullptr, &packed, &bytes);
  auto prepared = std::make_unique<State>(size, bytes, Device::cpu, 0);
  fill_warp_data(tensors, prepared->frame.mesh);
  if (device == Device::cpu) {
    state_ = std::move(prepared);
    return;
  }
  // The same layout on the GPU: one copy brings everything over.
  state_ = std::make_unique<State>(size, bytes, device, device_id);
  state_->memory.copy_from_host(prepared->memory.data(), bytes);
}

WarpMesh::~WarpMesh() = default;

void WarpMesh::run(const TensorView& vertices, const TensorView& attributes,
                   const WarpOptions& options, const TensorView& out, void* stream) {
  State& state = *state_;
  const std::int64_t count = state.frame.mesh.vertices;
  check_tensor(vertices, kOp, "vertices", DType::f32, state.device, {count, 3});
  check_tensor(attributes, kOp, "attributes", DType::f32, state.device, {count, 2});
  check_output(out, kOp, "out", DType::u8, state.device, {kAnySize, kAnySize, 4});
  require(out.shape[0] <= kMaxPixels && out.shape[1] <= kMaxPixels, kOp,
          "out must be at most 32768 pixels high and wide");
  if (out.numel() == 0) return;

  const std::lock_guard<std::mutex> lock(state.drawing);
  WarpFrame frame = state.frame;
  frame.options = options;
  frame.vertices = vertices.as<const float>();
  frame.attributes = attributes.as<const float>();
  frame.out = out.as<std::uint8_t>();
  frame.height = static_cast<std::int32_t>(out.shape[0]);
  frame.width = static_cast<std::int32_t>(out.shape[1]);
  if (state.device == Device::cuda) {
#ifdef VASA_CAM_WITH_CUDA
    require(reinterpret_cast<std::uintptr_t>(out.data) % 4 == 0, kOp,
            "out must begin at a multiple of four bytes on a GPU");
    const std::int64_t bytes = warp_cuda_scratch_bytes(frame.width, frame.height);
    if (bytes > state.cuda_scratch_bytes) {
      state.cuda_scratch = std::make_unique<MemoryBlock>(bytes, state.device, state.device_id);
      state.cuda_scratch_bytes = bytes;
    }
    launch_warp_mesh(frame, state.cuda_scratch->data(), state.device_id, stream);
    return;
#else
    throw_without_cuda(kOp);
#endif
  }
  static_cast<void>(stream);
  run_cpu(frame, state.lists);
}

}  // namespace vasa_cam
