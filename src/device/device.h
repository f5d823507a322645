// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <string>
#include <string_view>

namespace accrue::device {

/// Returns the device that "cpu", "cuda" (the first GPU) or "cuda:1" names;
/// nullopt for any other text.
std::optional<c10::Device> parse_device(std::string_view name);

/// Returns "cpu", or the kind of GPU.
std::string device_name(const c10::Device& device);

/// Returns the versions that decide the bits on a device; "" for a CPU.
std::string device_versions(const c10::Device& device);

/// Makes the device that parse_device() understands ready for tensors. Throws
/// ConfigError that says what is missing.
c10::Device open_device(std::string_view name);

} // namespace accrue::device
