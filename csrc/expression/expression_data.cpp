#include "expression/expression_data.h"

#include <algorithm>
#include <cstring>

namespace vasa_cam {
namespace {

template <class T>
void copy_array(const TensorView& from, T* to) {
  const std::int64_t count = from.numel();
  if (count > 0) std::memcpy(to, from.data, static_cast<std::size_t>(count) * sizeof(T));
}

// Counting sort: starts[k] .. starts[k + 1] are the positions in `order` of the items with key k,
// in their own order, so that sums over them are the same on every machine.
void group_by_key(const std::int32_t* keys, std::int64_t key_stride, std::int64_t items,
                  std::int64_t key_count, std::int32_t* starts, std::int32_t* order) {
  std::fill(starts, starts + key_count + 1, 0);
  for (std::int64_t item = 0; item < items; ++item) ++starts[keys[item * key_stride] + 1];
  for (std::int64_t key = 0; key < key_count; ++key) starts[key + 1] += starts[key];
  for (std::int64_t item = 0; item < items; ++item) {
    order[starts[keys[item * key_stride]]++] = static_cast<std::int32_t>(item);
  }
  // Each start has moved to its end; move them back by one key.
  for (std::int64_t key = key_count; key > 0; --key) starts[key] = starts[key - 1];
  starts[0] = 0;
}

void fill_contacts(const ExpressionTensors& tensors, ExpressionData& data) {
  const auto* entries = tensors.contact_entries.as<const std::int32_t>();
  const auto* weights = tensors.contact_weights.as<const float>();
  group_by_key(entries + 1, 2, data.size.contacts, data.size.coarse, data.contact_starts,
               data.contact_pairs);
  for (std::int64_t slot = 0; slot < data.size.contacts; ++slot) {
    const std::int32_t entry = data.contact_pairs[slot];
    data.contact_weights[slot] = weights[entry];
    data.contact_pairs[slot] = entries[2 * entry];
  }
}

// Turns all triangles round if their normals point away from the camera (+z) on the whole.
void fill_triangles(const ExpressionTensors& tensors, ExpressionData& data) {
  copy_array(tensors.normal_triangles, data.triangles);
  const auto* rest = tensors.rest.as<const float>();
  double towards_scene = 0.0;
  for (std::int64_t face = 0; face < data.size.triangles; ++face) {
    const float* a = rest + 3 * data.triangles[3 * face];
    const float* b = rest + 3 * data.triangles[3 * face + 1];
    const float* c = rest + 3 * data.triangles[3 * face + 2];
    towards_scene += static_cast<double>(b[0] - a[0]) * (c[1] - a[1]) -
                     static_cast<double>(b[1] - a[1]) * (c[0] - a[0]);
  }
  for (std::int64_t face = 0; towards_scene > 0.0 && face < data.size.triangles; ++face) {
    std::swap(data.triangles[3 * face + 1], data.triangles[3 * face + 2]);
  }
  group_by_key(data.triangles, 1, 3 * data.size.triangles, data.size.dense, data.fan_starts,
               data.fan_triangles);
  // A vertex without triangles has no normal, so it is not relit.
  for (std::int64_t vertex = 0; vertex < data.size.dense; ++vertex) {
    if (data.fan_starts[vertex] == data.fan_starts[vertex + 1]) data.shade_gain[vertex] = 0.0f;
  }
  for (std::int64_t corner = 0; corner < 3 * data.size.triangles; ++corner) {
    data.fan_triangles[corner] /= 3;
  }
}

}  // namespace

ExpressionData lay_out(const ExpressionSizes& size, char* base, std::int64_t* bytes) {
  Layout layout(base);
  ExpressionData data{};
  data.size = size;
  data.shapes = layout.take<Float4>(size.shapes * size.coarse);
  data.rest_coarse = layout.take<Float4>(size.coarse);
  data.rest = layout.take<float>(3 * size.dense);
  data.rigid = layout.take<float>(size.dense);
  data.shade_gain = layout.take<float>(size.dense);
  data.inverse_before = layout.take<float>(size.dense);
  data.operator_starts = layout.take<std::int32_t>(size.dense + 1);
  data.operator_indices = layout.take<std::int32_t>(size.operator_entries);
  data.operator_values = layout.take<float>(size.operator_entries);
  data.pairs = layout.take<std::int32_t>(2 * size.pairs);
  data.contact_starts = layout.take<std::int32_t>(size.coarse + 1);
  data.contact_pairs = layout.take<std::int32_t>(size.contacts);
  data.contact_weights = layout.take<float>(size.contacts);
  data.triangles = layout.take<std::int32_t>(3 * size.triangles);
  data.fan_starts = layout.take<std::int32_t>(size.dense + 1);
  data.fan_triangles = layout.take<std::int32_t>(3 * size.triangles);
  data.weights = layout.take<float>(size.shapes);
  data.coarse = layout.take<Float4>(size.coarse);
  data.overlaps = layout.take<float>(size.pairs);
  data.posed = layout.take<Float4>(size.dense);
  data.normals = layout.take<Float4>(size.triangles);
  *bytes = layout.bytes();
  return data;
}

void fill_expression_data(const ExpressionTensors& tensors, const ExpressionLight& light,
                          ExpressionData& data) {
  data.light = light;
  const auto* down = tensors.contact_down.as<const float>();
  data.down = make_row(down[0], down[1], down[2], 0.0f);
  if (tensors.shapes.numel() > 0) {
    std::memcpy(static_cast<void*>(data.shapes), tensors.shapes.data,
                static_cast<std::size_t>(tensors.shapes.numel()) * sizeof(float));
  }
  const auto* coarse = tensors.rest_coarse.as<const float>();
  for (std::int64_t vertex = 0; vertex < data.size.coarse; ++vertex) {
    const float* point = coarse + 3 * vertex;
    data.rest_coarse[vertex] = make_row(point[0], point[1], point[2], 0.0f);
  }
  const auto* rest = tensors.rest.as<const float>();
  const auto* shade_weight = tensors.shade_weight.as<const float>();
  for (std::int64_t vertex = 0; vertex < data.size.dense; ++vertex) {
    for (int axis = 0; axis < 3; ++axis) {
      data.rest[axis * data.size.dense + vertex] = rest[3 * vertex + axis];
    }
    data.shade_gain[vertex] = shade_weight[vertex] * light.relight;
  }
  copy_array(tensors.rigid, data.rigid);
  copy_array(tensors.operator_indptr, data.operator_starts);
  copy_array(tensors.operator_indices, data.operator_indices);
  copy_array(tensors.operator_values, data.operator_values);
  copy_array(tensors.contact_pairs, data.pairs);
  fill_contacts(tensors, data);
  fill_triangles(tensors, data);
}

}  // namespace vasa_cam
