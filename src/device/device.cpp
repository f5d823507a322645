// SPDX-License-Identifier: Apache-2.0
#include "accrue/device/device.h"

#include <fmt/format.h>

#include <charconv>

#include "accrue/core/error.h"
#include "device/cuda.h"
#include "device/description.h"

namespace accrue {

std::optional<c10::Device> parse_device(std::string_view name) {
  if (name == "cpu") {
    return c10::Device(c10::kCPU);
  }
  if (name == "cuda") {
    return c10::Device(c10::kCUDA, 0);
  }
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  c10::DeviceIndex index = 0;
  const char* const last = name.data() + name.size();
  const auto [end, error] =
      std::from_chars(name.data() + kPrefix.size(), last, index);
  if (error != std::errc() || end != last || index < 0) {
    return std::nullopt;
  }
  return c10::Device(c10::kCUDA, index);
}

c10::Device open_device(std::string_view name) {
  const std::optional<c10::Device> device = parse_device(name);
  if (!device) {
    throw ConfigError(fmt::format(
        "[device] there is no device \"{}\". Choose cpu, cuda or cuda:N.",
        name));
  }
  if (device->is_cuda()) {
    device::open_cuda(device->index());
  }
  return *device;
}

namespace device {

std::string device_versions(const c10::Device& device) {
  return device.is_cuda() ? cuda_versions() : "";
}

std::string device_name(const c10::Device& device) {
  return device.is_cuda() ? describe_cuda(device.index()).name
                          : c10::DeviceTypeName(device.type(), true);
}

} // namespace device
} // namespace accrue
