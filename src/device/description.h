// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace accrue::device {

/// Returns "cpu", or the kind of GPU.
std::string device_name(const c10::Device& device);

/// Returns the versions that decide the bits on a device; "" for a CPU.
std::string device_versions(const c10::Device& device);

} // namespace accrue::device
