#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/sampler.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

constexpr std::size_t kArrays = 6;
constexpr std::array<const char*, kArrays> kNames = {
    "sample_window: condition", "sample_window: time",     "sample_window: coefficients",
    "sample_window: guidance",  "sample_window: position", "sample_window: noise"};

constexpr std::size_t kPairsOfLayer = 6;
constexpr std::size_t kOtherPairs = 3;

// Weight and bias in turn, in the order of vasa_cam.ops.sampler.tensor_shapes().
std::unique_ptr<SamplerModel> make_model(const std::vector<py::object>& arrays, std::int64_t heads,
                                         const std::string& device, int device_id) {
  std::vector<std::unique_ptr<DlpackTensor>> tensors;
  std::vector<AffineTensors> pairs;
  for (const py::object& array : arrays) {
    tensors.push_back(std::make_unique<DlpackTensor>(array, "SamplerModel: tensor"));
  }
  for (std::size_t at = 0; at + 1 < tensors.size(); at += 2) {
    pairs.push_back({tensors[at]->view(), tensors[at + 1]->view()});
  }
  if (arrays.size() % 2 != 0 || pairs.size() < kOtherPairs ||
      (pairs.size() - kOtherPairs) % kPairsOfLayer != 0) {
    throw py::value_error("SamplerModel: expected weight and bias of 3 + 6 L products and norms");
  }
  SamplerTensors fixed;
  fixed.noisy = pairs.front();
  for (std::size_t at = 1; at + kOtherPairs <= pairs.size(); at += kPairsOfLayer) {
    fixed.layers.push_back(
        {pairs[at], pairs[at + 1], pairs[at + 2], pairs[at + 3], pairs[at + 4], pairs[at + 5]});
  }
  fixed.final_norm = pairs[pairs.size() - 2];
  fixed.head = pairs.back();
  const Device where = device == "cuda" ? Device::cuda : Device::cpu;
  const py::gil_scoped_release unlocked;
  return std::make_unique<SamplerModel>(fixed, heads, where, device_id);
}

void run_model(const SamplerModel& model, const std::array<py::object, kArrays>& arrays,
               const py::object& out, std::uintptr_t stream) {
  std::array<std::unique_ptr<DlpackTensor>, kArrays> tensors;
  for (std::size_t index = 0; index < kArrays; ++index) {
    tensors[index] = std::make_unique<DlpackTensor>(arrays[index], kNames[index]);
  }
  const DlpackTensor target(out, "sample_window: out");
  const SamplerWindow window{tensors[0]->view(), tensors[1]->view(), tensors[2]->view(),
                             tensors[3]->view(), tensors[4]->view(), tensors[5]->view()};
  const py::gil_scoped_release unlocked;
  model.run(window, target.view(), reinterpret_cast<void*>(stream));
}

}  // namespace

void register_sampler(py::module_& module) {
  py::class_<SamplerModel>(module, "SamplerModel")
      .def(py::init(&make_model), py::arg("tensors"), py::arg("heads"), py::arg("device"),
           py::arg("device_id"));
  // arrays: condition, time, coefficients, guidance, position, noise.
  module.def("sample_window", &run_model, py::arg("model"), py::arg("arrays"), py::arg("out"),
             py::arg("stream"));
}

}  // namespace vasa_cam
