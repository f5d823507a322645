// SPDX-License-Identifier: Apache-2.0
#include "device/cuda.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <system_error>

#include "accrue/core/error.h"
#include "device/cuda_driver.h"
#include "device/library.h"
#include "device/nvml.h"

namespace accrue::device {
namespace {

/// Compute capability of Ampere, the first with bf16.
constexpr int kOldestMajor = 8;

std::mutex open_mutex;

/// Devices that are open, and the bytes that were free before. Never destroyed:
/// destructors of static storage may ask.
std::map<int, std::optional<uint64_t>>& open_devices() {
  static auto* devices = new std::map<int, std::optional<uint64_t>>;
  return *devices;
}

/// Path of LibTorch's CUDA half. Throws ConfigError if there is none.
std::string find_cuda_half() {
  const std::filesystem::path path = torch_folder() / "libtorch_cuda.so";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw ConfigError(fmt::format(
        "[device] a CUDA device needs a CUDA build of LibTorch; LibTorch {} in "
        "{} is a CPU build (no libtorch_cuda.so). Install one (pip install "
        "torch=={}, from the public index) and build accrue with it "
        "(ACCRUE_TORCH=/path/to/site-packages/torch), or leave --device out to "
        "train on the CPU.",
        TORCH_VERSION,
        path.parent_path().string(),
        fmt::format(
            "{}.{}.{}",
            TORCH_VERSION_MAJOR,
            TORCH_VERSION_MINOR,
            TORCH_VERSION_PATCH)));
  }
  return path.string();
}

/// "13.0" from the driver's 13000.
std::string version_text(long version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string driver_text() {
  int version = 0;
  cuda_driver().check(
      cuda_driver().driver_get_version(&version), "version of the driver");
  const std::string cuda = fmt::format("CUDA {}", version_text(version));
  const std::string release = nvml_driver_version();
  return release.empty() ? cuda : fmt::format("{} ({})", release, cuda);
}

/// The driver's number of a device. Throws ConfigError if there is no such one.
int driver_device(int index) {
  const CudaDriver& driver = cuda_driver();
  int count = 0;
  driver.check(driver.device_get_count(&count), "number of devices");
  if (index < 0 || index >= count) {
    std::string list;
    for (int i = 0; i < count; ++i) {
      list += fmt::format(
          "{}cuda:{} ({})", i > 0 ? ", " : "", i, describe_cuda(i).name);
    }
    throw ConfigError(fmt::format(
        "[device] there is no device cuda:{}; this process sees {}. Choose one "
        "of these{}.",
        index,
        list,
        std::getenv("CUDA_VISIBLE_DEVICES") != nullptr
            ? " or change CUDA_VISIBLE_DEVICES, which hides others"
            : ""));
  }
  int device = 0;
  driver.check(
      driver.device_get(&device, index), fmt::format("device cuda:{}", index));
  return device;
}

/// Settings that LibTorch reads when its CUDA half starts. A user's own stay.
void set_environment() {
  // Freed memory of any size serves the next request of any size: reserved
  // memory stays near what is in use. Versions differ in the name they prefer.
  const char* const names[] = {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"};
  if (std::getenv(names[0]) == nullptr && std::getenv(names[1]) == nullptr) {
    for (const char* name : names) {
      setenv(name, "expandable_segments:True", 0);
    }
  }
  // Workspaces of a fixed size: without them cuBLAS promises no same bits.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
}

/// Drops warnings of LibTorch on this thread: that a setting is experimental,
/// or what an error says as well.
class Silence final : public c10::WarningHandler {
 public:
  void process(const c10::Warning& /*warning*/) override {}

 private:
  c10::WarningUtils::WarningHandlerGuard guard_{this};
};

/// Loads LibTorch's CUDA half and starts it.
void start_cuda_half(const std::string& path) {
  set_environment();
  if (load_library(path, RTLD_GLOBAL) == nullptr) {
    throw ConfigError(fmt::format(
        "[device] LibTorch's CUDA half must load, and does not: {}. Install "
        "LibTorch again with the packages that it needs.",
        load_error()));
  }
  const Silence silence;
  try {
    at::globalContext().lazyInitDevice(at::kCUDA);
  } catch (const c10::Error& error) {
    const bool asked_before = !at::detail::getCUDAHooks().hasCUDART();
    std::string text = error.what_without_backtrace();
    text.resize(std::min(text.size(), text.find('\n')));
    throw ConfigError(fmt::format(
        "[device] LibTorch {} must start on this driver ({}), and says: {} {}",
        TORCH_VERSION,
        driver_text(),
        text,
        asked_before
            ? "Something asked for CUDA before it was loaded."
            : "Update the driver, or take a LibTorch for an older CUDA."));
  }
}

/// Switches whole products of matrices to sums in one order: the bits of a row
/// must not depend on the other rows of a micro-batch.
void set_numerics() {
  at::Context& context = at::globalContext();
  context.setAllowBF16ReductionCuBLAS(false, /*allow_splitk=*/false);
  context.setFloat32MatmulPrecision("highest");
  const Silence silence;
  context.setBlasPreferredBackend(at::BlasBackend::Cublaslt);
}

} // namespace

CudaDevice describe_cuda(int index) {
  const CudaDriver& driver = cuda_driver();
  const int device = driver_device(index);
  const std::string what = fmt::format("description of cuda:{}", index);
  char name[256] = "";
  driver.check(driver.device_get_name(name, sizeof name, device), what);
  size_t total = 0;
  driver.check(driver.device_total_mem(&total, device), what);
  CudaDevice result{
      .name = name, .total_bytes = total, .driver = driver_text()};
  auto read = [&](int& value, int attribute) {
    driver.check(driver.device_get_attribute(&value, attribute, device), what);
  };
  read(result.major, kComputeMajor);
  read(result.minor, kComputeMinor);
  read(result.multiprocessors, kMultiprocessors);
  return result;
}

void open_cuda(int index) {
  const std::lock_guard lock(open_mutex);
  if (!open_devices().contains(index)) {
    const std::string cuda_half = find_cuda_half();
    const CudaDevice device = describe_cuda(index);
    if (device.major < kOldestMajor) {
      throw ConfigError(fmt::format(
          "[device] a device needs compute capability 8.0 (Ampere) or later; "
          "cuda:{} ({}) has {}.{}. Choose another device, or leave --device "
          "out to train on the CPU.",
          index,
          device.name,
          device.major,
          device.minor));
    }
    const std::optional<uint64_t> free_before = nvml_free_bytes(index);
    if (open_devices().empty()) {
      start_cuda_half(cuda_half);
      set_numerics();
    }
    open_devices()[index] = free_before;
  }
  at::accelerator::setDeviceIndex(static_cast<c10::DeviceIndex>(index));
}

std::string cuda_versions() {
  int (*cublas_property)(int type, int* value) = nullptr;
  find_function(cublas_property, RTLD_DEFAULT, "cublasGetProperty");
  std::string cublas = "unknown";
  int numbers[3] = {}; // libraryPropertyType: major, minor, patch
  if (cublas_property != nullptr && cublas_property(0, &numbers[0]) == 0 &&
      cublas_property(1, &numbers[1]) == 0 &&
      cublas_property(2, &numbers[2]) == 0) {
    cublas = fmt::format("{}.{}.{}", numbers[0], numbers[1], numbers[2]);
  }
  int nvrtc_major = 0;
  int nvrtc_minor = 0;
  nvrtc().version(&nvrtc_major, &nvrtc_minor);
  return fmt::format(
      "LibTorch {}, CUDA {}, cuBLAS {}, NVRTC {}.{}, driver {}",
      TORCH_VERSION,
      version_text(at::detail::getCUDAHooks().versionCUDART()),
      cublas,
      nvrtc_major,
      nvrtc_minor,
      driver_text());
}

std::optional<uint64_t> free_before_context(int index) {
  const std::lock_guard lock(open_mutex);
  const auto it = open_devices().find(index);
  return it != open_devices().end() ? it->second : std::nullopt;
}

} // namespace accrue::device
