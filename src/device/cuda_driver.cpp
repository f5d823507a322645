// SPDX-License-Identifier: Apache-2.0
#include "device/cuda_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "accrue/core/error.h"
#include "device/library.h"

namespace accrue::device {
namespace {

namespace fs = std::filesystem;

/// Points `function` to a function that the library must have.
template <class F>
void require_function(F*& function, void* library, const char* name) {
  find_function(function, library, name);
  if (function == nullptr) {
    throw ConfigError(fmt::format(
        "[device] this version of NVIDIA's libraries lacks {}. Update the "
        "driver and LibTorch.",
        name));
  }
}

CudaDriver load_driver() {
  void* library = load_library("libcuda.so.1");
  if (library == nullptr) {
    throw ConfigError(fmt::format(
        "[device] a CUDA device needs NVIDIA's driver, and libcuda.so.1 can't "
        "be loaded ({}). Install the driver, give the container its GPU "
        "(--gpus all), or leave --device out to train on the CPU.",
        load_error()));
  }
  CudaDriver driver{};
  require_function(driver.init, library, "cuInit");
  require_function(driver.driver_get_version, library, "cuDriverGetVersion");
  require_function(driver.device_get_count, library, "cuDeviceGetCount");
  require_function(driver.device_get, library, "cuDeviceGet");
  require_function(driver.device_get_name, library, "cuDeviceGetName");
  require_function(
      driver.device_get_attribute, library, "cuDeviceGetAttribute");
  require_function(driver.device_total_mem, library, "cuDeviceTotalMem_v2");
  require_function(driver.device_get_uuid, library, "cuDeviceGetUuid_v2");
  require_function(
      driver.primary_context_retain, library, "cuDevicePrimaryCtxRetain");
  require_function(driver.context_set_current, library, "cuCtxSetCurrent");
  require_function(driver.context_get_current, library, "cuCtxGetCurrent");
  require_function(driver.module_load_data, library, "cuModuleLoadData");
  require_function(driver.module_get_function, library, "cuModuleGetFunction");
  find_function(driver.function_get_parameter, library, "cuFuncGetParamInfo");
  require_function(driver.launch_kernel, library, "cuLaunchKernel");
  require_function(driver.memory_get_info, library, "cuMemGetInfo_v2");
  require_function(driver.get_error_name, library, "cuGetErrorName");
  require_function(driver.get_error_string, library, "cuGetErrorString");
  if (int error = driver.init(0); error != 0) {
    throw ConfigError(fmt::format(
        "[device] a CUDA device needs a working driver, and cuInit of "
        "libcuda.so.1 says {}. nvidia-smi tells more; in a container, the "
        "driver must be that of the host. Leave --device out to train on the "
        "CPU.",
        driver.describe(error)));
  }
  return driver;
}

constexpr std::string_view kBuiltins = "libnvrtc-builtins";

/// Paths in `folder` of NVRTC itself, libnvrtc.so.12 or, with a hash,
/// libnvrtc-672ee683.so.11.2, or of the library of its built-in functions.
std::vector<std::string> nvrtc_files(const fs::path& folder, bool builtins) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if ((name.starts_with("libnvrtc.so") || name.starts_with("libnvrtc-")) &&
        name.starts_with(kBuiltins) == builtins &&
        name.find(".alt.") == std::string::npos) {
      found.push_back(entry.path().string());
    }
  }
  std::sort(found.rbegin(), found.rend()); // the newest first
  return found;
}

/// Loads what NVRTC loads by name alone, and finds only if it is loaded already
/// or in a folder that the system searches.
void load_builtins(const Nvrtc& nvrtc) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(nvrtc.version), &info) != 0 &&
      info.dli_fname != nullptr) {
    const fs::path folder = fs::path(info.dli_fname).parent_path();
    for (const std::string& name : nvrtc_files(folder, true)) {
      load_library(name);
    }
  }
}

void* load_nvrtc_library() {
  const std::vector<std::string> system = {
      "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
  for (const std::string& name : system) {
    if (void* library = load_library(name, RTLD_NOLOAD)) {
      return library; // loaded by LibTorch
    }
  }
  const fs::path torch = torch_folder();
  const fs::path nvidia = torch / ".." / ".." / "nvidia"; // wheels
  const std::vector<fs::path> folders = {
      nvidia / "cu13" / "lib", nvidia / "cuda_nvrtc" / "lib", torch};
  std::vector<std::string> names;
  for (const fs::path& folder : folders) {
    const std::vector<std::string> files = nvrtc_files(folder, false);
    names.insert(names.end(), files.begin(), files.end());
  }
  names.insert(names.end(), system.begin(), system.end());
  std::string reason;
  for (const std::string& name : names) {
    if (void* library = load_library(name)) {
      return library;
    }
    reason = load_error();
  }
  std::string places;
  for (const fs::path& folder : folders) {
    places += fmt::format("\n  {}", folder.lexically_normal().string());
  }
  throw ConfigError(fmt::format(
      "[device] accrue's kernels are compiled by NVRTC, which is not to be "
      "found: no libnvrtc.so.* that loads in{}\n  the places that the system "
      "searches ({}).\nInstall it beside LibTorch (pip install "
      "nvidia-cuda-nvrtc, or nvidia-cuda-nvrtc-cu12 for CUDA 12), or name its "
      "folder in LD_LIBRARY_PATH.",
      places,
      reason));
}

Nvrtc load_nvrtc() {
  void* library = load_nvrtc_library();
  Nvrtc nvrtc{};
  require_function(nvrtc.version, library, "nvrtcVersion");
  require_function(nvrtc.create_program, library, "nvrtcCreateProgram");
  require_function(nvrtc.compile_program, library, "nvrtcCompileProgram");
  require_function(nvrtc.get_cubin_size, library, "nvrtcGetCUBINSize");
  require_function(nvrtc.get_cubin, library, "nvrtcGetCUBIN");
  require_function(
      nvrtc.get_program_log_size, library, "nvrtcGetProgramLogSize");
  require_function(nvrtc.get_program_log, library, "nvrtcGetProgramLog");
  require_function(nvrtc.destroy_program, library, "nvrtcDestroyProgram");
  require_function(nvrtc.get_error_string, library, "nvrtcGetErrorString");
  load_builtins(nvrtc);
  return nvrtc;
}

} // namespace

std::string CudaDriver::describe(int error) const {
  const char* name = nullptr;
  const char* text = nullptr;
  if (get_error_name(error, &name) != 0 || name == nullptr) {
    return fmt::format("error {}", error);
  }
  if (get_error_string(error, &text) != 0 || text == nullptr) {
    return name;
  }
  return fmt::format("{} ({})", name, text);
}

void CudaDriver::check(int error, std::string_view what) const {
  if (error != 0) {
    throw Error(fmt::format("[device] {}: {}.", what, describe(error)));
  }
}

const CudaDriver& cuda_driver() {
  static const CudaDriver driver = load_driver();
  return driver;
}

const Nvrtc& nvrtc() {
  static const Nvrtc loaded = load_nvrtc();
  return loaded;
}

} // namespace accrue::device
