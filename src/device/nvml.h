// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

// NVIDIA's management library (libnvidia-ml.so.1), which comes with the driver,
// though not into every container. It knows the memory of a device without
// making a context there, which would take memory itself.

namespace accrue::device {

/// Free bytes of a device, which the driver must have (cuda_driver); nullopt if
/// the library is missing or can't tell.
std::optional<uint64_t> nvml_free_bytes(int index);

/// Version of the driver ("580.65.06"), or "" if the library is missing.
std::string nvml_driver_version();

} // namespace accrue::device
