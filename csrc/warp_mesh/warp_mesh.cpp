#include "vasa_cam/tensor_view.h"
