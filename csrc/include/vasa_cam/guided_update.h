// guided_update: the guidance combination of any number of network passes and the solver's step,
// for any solver that is linear in the noised state, the prediction and fresh noise.
#pragma once

#include "vasa_cam/tensor_view.h"

namespace vasa_cam {

// x' = keep x + step clean + sigma noise
struct UpdateCoefficients {
  float keep;
  float step;
  float sigma;
};

// All on one device; n is any shape of one to four axes.
struct GuidedUpdateArrays {
  TensorView noised;   // f32 [n] x
  TensorView outputs;  // f32, f16 or bf16 [P, n] what the network predicts in each pass
  TensorView weights;  // f32 [P] of the passes
  TensorView noise;    // f32 [n]; of rank 0 where there is none, and then sigma is 0
  TensorView clean;    // f32 [n] sum_p weights_p outputs_p; of rank 0 where nobody asks for it
  TensorView out;      // f32 [n] x'; may be `noised` itself
};

// `stream` is the caller's cudaStream_t, ignored on the CPU. Throws std::invalid_argument for a
// wrong shape, type or device.
void guided_update(const GuidedUpdateArrays& arrays, const UpdateCoefficients& coefficients,
                   void* stream);

}  // namespace vasa_cam
