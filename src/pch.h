// SPDX-License-Identifier: Apache-2.0
#pragma once

// Headers that the dev preset precompiles: most sources that see LibTorch
// include them anyway.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>
