#include <cmath>

#include "expression/expression_math.h"
#include "test_support.h"
#include "vasa_cam/expression.h"

namespace vasa_cam {
namespace {

using test::for_each_simd_level;
using test::view_of;

// One triangle towards the camera, moved as a whole by one coarse vertex.
struct Triangle {
  std::vector<float> shapes{0, 0, 0, 0};
  std::vector<std::int32_t> indptr{0, 1, 2, 3};
  std::vector<std::int32_t> indices{0, 0, 0};
  std::vector<float> values{1, 1, 1};
  std::vector<std::int32_t> no_pairs;
  std::vector<std::int32_t> no_entries;
  std::vector<float> no_weights;
  std::vector<float> down{0, 1, 0};
  std::vector<float> rest_coarse{0, 0, 0};
  std::vector<float> rest{10, 20, 0, 50, 20, 0, 10, 60, 0};
  std::vector<float> rigid{1, 1, 1};
  std::vector<float> shade_weight{1, 1, 1};
  std::vector<std::int32_t> triangles{0, 1, 2};

  ExpressionTensors tensors() {
    return {view_of(shapes, {1, 1, 4}), view_of(indptr, {4}),      view_of(indices, {3}),
            view_of(values, {3}),       view_of(no_pairs, {0, 2}), view_of(no_entries, {0, 2}),
            view_of(no_weights, {0}),   view_of(down, {3}),        view_of(rest_coarse, {1, 3}),
            view_of(rest, {3, 3}),      view_of(rigid, {3}),       view_of(shade_weight, {3}),
            view_of(triangles, {1, 3})};
  }
};

constexpr ExpressionLight kLight{{0.0f, -0.6f, -0.8f}, 0.45f, 0.6f};

ExpressionPose still_pose() {
  return {{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 0, 0}, {30, 30, 0}, 500.0f, {32, 32}, 1.0f, {0, 0}};
}

struct Frame {
  std::vector<float> vertices = std::vector<float>(9);
  std::vector<float> attributes = std::vector<float>(6);
};

Frame run(ExpressionMesh& mesh, float weight, const ExpressionPose& pose) {
  Frame frame;
  std::vector<float> weights{weight};
  mesh.run(view_of(weights, {1}), pose, view_of(frame.vertices, {3, 3}),
           view_of(frame.attributes, {3, 2}), nullptr);
  return frame;
}

TEST(Expression, RestIsTheIdentity) {
  Triangle triangle;
  ExpressionMesh mesh(triangle.tensors(), kLight, Device::cpu, 0);
  for_each_simd_level([&] {
    const Frame frame = run(mesh, 0.0f, still_pose());
    EXPECT_EQ(frame.vertices, triangle.rest);
    EXPECT_EQ(frame.attributes, (std::vector<float>{1, 0, 1, 0, 1, 0}));
  });
}

TEST(Expression, MovesByWeightTimesShape) {
  Triangle triangle;
  triangle.shapes = {4, -2, 0, 0.5f};
  ExpressionMesh mesh(triangle.tensors(), kLight, Device::cpu, 0);
  for_each_simd_level([&] {
    const Frame frame = run(mesh, 0.5f, still_pose());
    EXPECT_FLOAT_EQ(frame.vertices[0], 12.0f);
    EXPECT_FLOAT_EQ(frame.vertices[1], 19.0f);
    EXPECT_FLOAT_EQ(frame.attributes[1], 0.25f);
  });
}

TEST(Expression, KeepsNothingOfAFrameForTheNext) {
  Triangle triangle;
  triangle.shapes = {4, -2, 3, 1};
  ExpressionMesh mesh(triangle.tensors(), kLight, Device::cpu, 0);
  const Frame first = run(mesh, 0.0f, still_pose());
  run(mesh, 1.0f, still_pose());
  EXPECT_EQ(run(mesh, 0.0f, still_pose()).vertices, first.vertices);
}

TEST(Expression, ShadeFactorIsThePowerFunction) {
  for (float ratio = 0.6f; ratio < 1.3f; ratio += 0.001f) {
    for (const float gain : {0.0f, 0.3f, 1.0f}) {
      const double clamped = std::fmin(std::fmax(ratio, 0.72), 1.14);
      const double expected = std::pow(1.0 + gain * (clamped - 1.0), 1.0 / 2.2);
      EXPECT_NEAR(shade_factor(ratio, gain), expected, 2e-7);
    }
  }
  EXPECT_EQ(shade_factor(1.0f, 1.0f), 1.0f);
}

TEST(Expression, RefusesTensorsThatDoNotFit) {
  Triangle triangle;
  ExpressionTensors tensors = triangle.tensors();
  tensors.rigid.shape[0] = 2;
  EXPECT_THROW(ExpressionMesh(tensors, kLight, Device::cpu, 0), std::invalid_argument);
}

#ifndef VASA_CAM_WITH_CUDA
TEST(Expression, SaysThatThisBuildHasNoCuda) {
  Triangle triangle;
  const auto make = [&] { ExpressionMesh(triangle.tensors(), kLight, Device::cuda, 0); };
  EXPECT_NE(test::message_of<std::runtime_error>(make).find("no CUDA"), std::string::npos);
}
#endif

}  // namespace
}  // namespace vasa_cam
