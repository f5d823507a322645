// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <string_view>

#include "accrue/core/export.h"

namespace accrue {

/// Returns the device that "cpu", "cuda" (the first GPU) or "cuda:1" names;
/// nullopt for any other text.
ACCRUE_API std::optional<c10::Device> parse_device(std::string_view name);

/// Makes the device that parse_device() understands ready for tensors. For a
/// GPU it loads LibTorch's half for CUDA, to which programs need not be linked,
/// and chooses products whose bits repeat (docs/devices.md); it must be called
/// before anything else asks LibTorch about CUDA. Throws ConfigError that says
/// what is missing.
ACCRUE_API c10::Device open_device(std::string_view name);

} // namespace accrue
