// SPDX-License-Identifier: Apache-2.0
#include "device/nvml.h"

#include <fmt/format.h>

#include "device/cuda_driver.h"
#include "device/library.h"

namespace accrue::device {
namespace {

using NvmlDevice = struct NvmlDeviceHandle*;

/// Type nvmlMemory_t.
struct NvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

struct Nvml {
  int (*init)();
  int (*driver_version)(char* version, unsigned bytes);
  int (*device_by_uuid)(const char* uuid, NvmlDevice* device);
  int (*memory_info)(NvmlDevice device, NvmlMemory* memory);
};

/// Null if the library is missing, lacks a function or does not start.
const Nvml* nvml() {
  static const Nvml* loaded = []() -> const Nvml* {
    static Nvml table{};
    void* library = load_library("libnvidia-ml.so.1");
    if (library == nullptr) {
      return nullptr;
    }
    find_function(table.init, library, "nvmlInit_v2");
    find_function(table.driver_version, library, "nvmlSystemGetDriverVersion");
    find_function(table.device_by_uuid, library, "nvmlDeviceGetHandleByUUID");
    find_function(table.memory_info, library, "nvmlDeviceGetMemoryInfo");
    const bool complete = table.init != nullptr &&
        table.driver_version != nullptr && table.device_by_uuid != nullptr &&
        table.memory_info != nullptr;
    return complete && table.init() == 0 ? &table : nullptr;
  }();
  return loaded;
}

/// "8d7f0a1c-....", 8-4-4-4-12 hex digits.
std::string to_text(const CudaUuid& uuid) {
  std::string text;
  for (size_t i = 0; i < sizeof uuid.bytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text += '-';
    }
    text += fmt::format("{:02x}", uuid.bytes[i]);
  }
  return text;
}

} // namespace

std::optional<uint64_t> nvml_free_bytes(int index) {
  const CudaDriver& driver = cuda_driver();
  int number = 0;
  CudaUuid uuid{};
  if (nvml() == nullptr || driver.device_get(&number, index) != 0 ||
      driver.device_get_uuid(&uuid, number) != 0) {
    return std::nullopt;
  }
  // A slice of a device (MIG) has an identity of its own.
  for (const char* kind : {"GPU-", "MIG-"}) {
    NvmlDevice device = nullptr;
    NvmlMemory memory{};
    if (nvml()->device_by_uuid((kind + to_text(uuid)).c_str(), &device) == 0 &&
        nvml()->memory_info(device, &memory) == 0) {
      return memory.free;
    }
  }
  return std::nullopt;
}

std::string nvml_driver_version() {
  char version[96] = "";
  if (nvml() == nullptr ||
      nvml()->driver_version(version, sizeof version) != 0) {
    return "";
  }
  return version;
}

} // namespace accrue::device
