#include "dlpack.h"

#include <cstdint>
#include <string>

namespace py = pybind11;

namespace vasa_cam {
namespace {

// The DLPack binary interface, version 1, written down from its specification.
struct DlDevice {
  std::int32_t type;
  std::int32_t id;
};
struct DlDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  std::int32_t rank;
  DlDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // elements; null means C-contiguous
  std::uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* manager_context;
  void (*deleter)(DlManagedTensor*);
};
struct DlManagedTensorVersioned {
  std::uint32_t major;
  std::uint32_t minor;
  void* manager_context;
  void (*deleter)(DlManagedTensorVersioned*);
  std::uint64_t flags;
  DlTensor tensor;
};

constexpr std::int32_t kDlCpu = 1;
constexpr std::int32_t kDlCuda = 2;
constexpr std::int32_t kDlCudaHost = 3;
constexpr std::int32_t kDlCudaManaged = 13;
constexpr std::uint8_t kDlInt = 0;
constexpr std::uint8_t kDlUInt = 1;
constexpr std::uint8_t kDlFloat = 2;
constexpr std::uint8_t kDlBfloat = 4;
constexpr std::uint64_t kDlReadOnly = 1;
constexpr int kNoSynchronisation = -1;

DType dtype_of(const DlDataType& type, const char* name) {
  if (type.lanes == 1) {
    if (type.code == kDlUInt && type.bits == 8) return DType::u8;
    if (type.code == kDlInt && type.bits == 8) return DType::i8;
    if (type.code == kDlInt && type.bits == 32) return DType::i32;
    if (type.code == kDlFloat && type.bits == 32) return DType::f32;
    if (type.code == kDlFloat && type.bits == 16) return DType::f16;
    if (type.code == kDlBfloat && type.bits == 16) return DType::bf16;
  }
  throw py::type_error(
      std::string(name) +
      " must be uint8, int8, int32, float32, float16 or bfloat16, got DLPack code " +
      std::to_string(type.code) + " with " + std::to_string(type.bits) + " bits");
}

TensorView view_of(const DlTensor& tensor, bool read_only, const char* name) {
  if (tensor.rank > kMaxRank) {
    throw py::type_error(std::string(name) + " must have at most " + std::to_string(kMaxRank) +
                         " axes, got " + std::to_string(tensor.rank));
  }
  TensorView view;
  view.dtype = dtype_of(tensor.dtype, name);
  const bool on_gpu = tensor.device.type == kDlCuda || tensor.device.type == kDlCudaManaged;
  if (!on_gpu && tensor.device.type != kDlCpu && tensor.device.type != kDlCudaHost) {
    throw py::type_error(std::string(name) + " must be on the CPU or a CUDA device");
  }
  view.device = on_gpu ? Device::cuda : Device::cpu;
  view.device_id = on_gpu ? tensor.device.id : 0;
  view.rank = tensor.rank;
  view.read_only = read_only;
  std::int64_t packed = 1;
  for (int axis = tensor.rank - 1; axis >= 0; --axis) {
    view.shape[axis] = tensor.shape[axis];
    view.stride[axis] = tensor.strides != nullptr ? tensor.strides[axis] : packed;
    packed *= tensor.shape[axis];
  }
  if (tensor.data != nullptr) view.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  return view;
}

py::object request_capsule(const py::handle& array, const char* name) {
  if (!py::hasattr(array, "__dlpack__") || !py::hasattr(array, "__dlpack_device__")) {
    throw py::type_error(std::string(name) +
                         " must be an array (NumPy, or anything with DLPack), got " +
                         std::string(py::str(py::type::of(array).attr("__name__"))));
  }
  const auto device = array.attr("__dlpack_device__")().cast<py::tuple>();
  const auto device_type = device[0].cast<std::int32_t>();
  py::dict options;
  if (device_type == kDlCuda || device_type == kDlCudaManaged) {
    options["stream"] = py::int_(kNoSynchronisation);
  }
  const py::object export_array = array.attr("__dlpack__");
  try {
    return export_array(**options, py::arg("max_version") = py::make_tuple(1, 0));
  } catch (const py::error_already_set& error) {
    // A producer older than DLPack 1.0 does not know the argument.
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return export_array(**options);
}

}  // namespace

DlpackTensor::DlpackTensor(const py::handle& array, const char* name) {
  const py::object capsule = request_capsule(array, name);
  versioned_ = PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0;
  const char* label = versioned_ ? "dltensor_versioned" : "dltensor";
  managed_ = PyCapsule_GetPointer(capsule.ptr(), label);
  if (managed_ == nullptr) throw py::error_already_set();
  // Renamed: from here on the memory is ours to release, and nobody can consume the capsule again.
  if (PyCapsule_SetName(capsule.ptr(), versioned_ ? "used_dltensor_versioned" : "used_dltensor") !=
      0) {
    throw py::error_already_set();
  }
  try {
    if (versioned_) {
      const auto* managed = static_cast<DlManagedTensorVersioned*>(managed_);
      if (managed->major != 1) throw py::type_error(std::string(name) + ": unknown DLPack version");
      view_ = view_of(managed->tensor, (managed->flags & kDlReadOnly) != 0, name);
    } else {
      view_ = view_of(static_cast<DlManagedTensor*>(managed_)->tensor, false, name);
    }
  } catch (...) {
    release();
    throw;
  }
}

DlpackTensor::~DlpackTensor() { release(); }

void DlpackTensor::release() {
  if (versioned_) {
    auto* managed = static_cast<DlManagedTensorVersioned*>(managed_);
    if (managed->deleter != nullptr) managed->deleter(managed);
  } else {
    auto* managed = static_cast<DlManagedTensor*>(managed_);
    if (managed->deleter != nullptr) managed->deleter(managed);
  }
}

}  // namespace vasa_cam
