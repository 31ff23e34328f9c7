#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "dlpack.h"
#include "vasa_cam/sampler.h"

namespace py = pybind11;

namespace vasa_cam {
namespace {

constexpr std::size_t kArrays = 8;
constexpr std::array<const char*, kArrays> kNames = {
    "sample_window: condition", "sample_window: time",      "sample_window: coefficients",
    "sample_window: guidance",  "sample_window: position",  "sample_window: noise",
    "sample_window: memory",    "sample_window: step_noise"};

constexpr std::size_t kOtherPairs = 3;

DType precision_of(const std::string& name) {
  if (name == "float32") return DType::f32;
  if (name == "float16") return DType::f16;
  if (name == "bfloat16") return DType::bf16;
  throw py::value_error("SamplerModel: unknown precision " + name);
}

// Weight and bias in turn, in the order of vasa_cam.ops.sampler.tensor_shapes().
SamplerTensors arrange(const std::vector<AffineTensors>& pairs, const SamplerForm& form) {
  const std::size_t of_layer = form.memory ? 8 : 6;
  if (pairs.size() < kOtherPairs || (pairs.size() - kOtherPairs) % of_layer != 0) {
    throw py::value_error("SamplerModel: expected weight and bias of whole layers and 3 more");
  }
  SamplerTensors tensors;
  tensors.form = form;
  std::size_t at = 0;
  tensors.noisy = pairs[at++];
  while (at + 2 < pairs.size()) {
    SamplerLayerTensors layer;
    layer.norm1 = pairs[at++];
    layer.qkv = pairs[at++];
    layer.out = pairs[at++];
    if (form.memory) {
      layer.cross = pairs[at++];
      layer.cross_norm = pairs[at++];
    }
    layer.norm2 = pairs[at++];
    layer.up = pairs[at++];
    layer.down = pairs[at++];
    tensors.layers.push_back(layer);
  }
  (form.hidden_head ? tensors.head_hidden : tensors.final_norm) = pairs[at++];
  tensors.head = pairs[at];
  return tensors;
}

// form: norm_after, memory, time_everywhere, hidden_head, gelu.
std::unique_ptr<SamplerModel> make_model(const std::vector<py::object>& arrays,
                                         const std::array<bool, 5>& form, std::int64_t heads,
                                         const std::pair<std::string, int>& device,
                                         const std::string& precision) {
  std::vector<std::unique_ptr<DlpackTensor>> tensors;
  std::vector<AffineTensors> pairs;
  for (const py::object& array : arrays) {
    tensors.push_back(std::make_unique<DlpackTensor>(array, "SamplerModel: tensor"));
  }
  for (std::size_t at = 0; at + 1 < tensors.size(); at += 2) {
    pairs.push_back({tensors[at]->view(), tensors[at + 1]->view()});
  }
  const SamplerForm wanted{form[0], form[1], form[2], form[3],
                           form[4] ? Activation::gelu : Activation::silu};
  const SamplerTensors arranged = arrange(pairs, wanted);
  const Device where = device.first == "cuda" ? Device::cuda : Device::cpu;
  const DType type = precision_of(precision);
  const py::gil_scoped_release unlocked;
  return std::make_unique<SamplerModel>(arranged, heads, where, device.second, type);
}

// A window's arrays, kept while their views are in use.
class WindowArrays {
 public:
  // `memory` and `step_noise` may be None, which becomes a view of rank 0.
  explicit WindowArrays(const std::array<py::object, kArrays>& arrays) {
    std::array<TensorView, kArrays> views;
    for (std::size_t index = 0; index < kArrays; ++index) {
      if (arrays[index].is_none()) continue;
      tensors_[index] = std::make_unique<DlpackTensor>(arrays[index], kNames[index]);
      views[index] = tensors_[index]->view();
    }
    window_ = {views[0], views[1], views[2], views[3], views[4], views[5], views[6], views[7]};
  }

  const SamplerWindow& window() const { return window_; }

 private:
  std::array<std::unique_ptr<DlpackTensor>, kArrays> tensors_;
  SamplerWindow window_;
};

void run_model(const SamplerModel& model, const std::array<py::object, kArrays>& arrays,
               const py::object& out, std::uintptr_t stream) {
  const WindowArrays window(arrays);
  const DlpackTensor target(out, "sample_window: out");
  const py::gil_scoped_release unlocked;
  model.run(window.window(), target.view(), reinterpret_cast<void*>(stream));
}

// The arrays themselves are kept by the caller.
std::unique_ptr<SamplerGraph> make_graph(const SamplerModel& model,
                                         const std::array<py::object, kArrays>& arrays,
                                         const py::object& out, const py::object& workspace) {
  const WindowArrays window(arrays);
  const DlpackTensor target(out, "SamplerGraph: out");
  const DlpackTensor memory(workspace, "SamplerGraph: workspace");
  const py::gil_scoped_release unlocked;
  return std::make_unique<SamplerGraph>(model, window.window(), target.view(), memory.view());
}

}  // namespace

void register_sampler(py::module_& module) {
  py::class_<SamplerModel>(module, "SamplerModel")
      .def(py::init(&make_model), py::arg("tensors"), py::arg("form"), py::arg("heads"),
           py::arg("device"), py::arg("precision"));
  py::class_<SamplerGraph>(module, "SamplerGraph")
      .def(py::init(&make_graph), py::arg("model"), py::arg("arrays"), py::arg("out"),
           py::arg("workspace"), py::keep_alive<1, 2>())
      .def(
          "replay",
          [](const SamplerGraph& graph, std::uintptr_t stream) {
            graph.replay(reinterpret_cast<void*>(stream));
          },
          py::arg("stream"), py::call_guard<py::gil_scoped_release>());
  module.def("sampler_workspace_bytes", &SamplerGraph::workspace_bytes, py::arg("model"),
             py::arg("passes"), py::arg("condition"), py::arg("frames"));
  // arrays: condition, time, coefficients, guidance, position, noise, memory, step_noise.
  module.def("sample_window", &run_model, py::arg("model"), py::arg("arrays"), py::arg("out"),
             py::arg("stream"));
}

}  // namespace vasa_cam
