"""Every case there is, one module a family; `vasa_cam.bench.registry` puts them together."""
