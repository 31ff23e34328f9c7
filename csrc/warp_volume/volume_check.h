// What an op demands of a volume that it looks up.
#pragma once

#include "warp_volume/volume_math.h"

namespace vasa_cam {

// Throws std::invalid_argument unless `volume` is a volume of one or `samples` samples.
void check_volume(const TensorView& volume, const char* op, Device device, std::int64_t samples);

VolumeSize size_of_volume(const TensorView& volume);

// Elements from one sample of [N, ...] to the next; 0 for a single one, which serves all.
std::int64_t sample_stride(const TensorView& tensor);

}  // namespace vasa_cam
