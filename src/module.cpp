// vasa_cam._core: the native operations. Arrays come in as DLPack; nothing is computed here.
#include "bindings.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "Native operations of vasa_cam; use them through vasa_cam.ops.";
  vasa_cam::register_runtime(module);
  vasa_cam::register_expression(module);
  vasa_cam::register_warp_mesh(module);
  vasa_cam::register_compose(module);
  vasa_cam::register_pixel(module);
  vasa_cam::register_probe(module);
  vasa_cam::register_sampler(module);
  vasa_cam::register_guided_update(module);
  vasa_cam::register_spade(module);
  vasa_cam::register_warp_volume(module);
  vasa_cam::register_dense_motion(module);
}
