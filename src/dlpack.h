// DLPack in, TensorView out. https://dmlc.github.io/dlpack/latest/python_spec.html
#pragma once

#include <pybind11/pybind11.h>

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// Keeps a producer's memory alive while its view is in use. Create and destroy with the GIL held;
// the view may be used without it.
class DlpackTensor {
 public:
  // Asks `array` (NumPy, CuPy, torch, ...) for a capsule: the versioned protocol first, the older
  // one if the producer does not know it. A CUDA producer is told not to synchronise: the caller
  // passes its own current stream to the op. Throws pybind11::type_error "`name` must ..." for an
  // object without DLPack, an unknown type of element, or more than kMaxRank axes.
  DlpackTensor(const pybind11::handle& array, const char* name);
  ~DlpackTensor();
  DlpackTensor(const DlpackTensor&) = delete;
  DlpackTensor& operator=(const DlpackTensor&) = delete;

  const TensorView& view() const { return view_; }

 private:
  void release();

  TensorView view_;
  void* managed_ = nullptr;  // DLManagedTensor or DLManagedTensorVersioned
  bool versioned_ = false;
};

}  // namespace vasa_cam
