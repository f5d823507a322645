// SPDX-License-Identifier: Apache-2.0
#include "tensor/cuda/module.h"

#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include "accrue/core/error.h"

namespace accrue::tensor::cuda {
namespace {

/// The driver's stream of a stream of LibTorch. Versions that do not tell have
/// only the default one, which accrue uses unless a caller sets another.
template <class Stream>
device::CudaStream native_stream(const Stream& stream) {
  if constexpr (requires { stream.native_handle(); }) {
    return static_cast<device::CudaStream>(stream.native_handle());
  } else {
    if (stream.id() != 0) {
      throw Error(
          "[device] kernels need LibTorch's default stream; this version does "
          "not tell others. Run on the default stream.");
    }
    return nullptr;
  }
}

device::CudaStream current_stream(int index) {
  const c10::Device device(
      c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
  const c10::impl::VirtualGuardImpl streams(c10::DeviceType::CUDA);
  return native_stream(streams.getStream(device));
}

/// Makes a context current on this thread, and afterwards the one before.
class ContextScope {
 public:
  explicit ContextScope(device::CudaContext context) {
    driver_.check(driver_.context_get_current(&previous_), "current context");
    changed_ = previous_ != context;
    if (changed_) {
      driver_.check(driver_.context_set_current(context), "change of context");
    }
  }
  ~ContextScope() {
    if (changed_) {
      driver_.context_set_current(previous_);
    }
  }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  const device::CudaDriver& driver_ = device::cuda_driver();
  device::CudaContext previous_ = nullptr;
  bool changed_ = false;
};

Architecture architecture_of(int device) {
  const device::CudaDriver& driver = device::cuda_driver();
  Architecture result;
  driver.check(
      driver.device_get_attribute(&result.major, device::kComputeMajor, device),
      "compute capability");
  driver.check(
      driver.device_get_attribute(&result.minor, device::kComputeMinor, device),
      "compute capability");
  return result;
}

} // namespace

ModuleLauncher::ModuleLauncher(int index, std::span<const KernelSource> sources)
    : index_(index) {
  const device::CudaDriver& driver = device::cuda_driver();
  int device = 0;
  driver.check(
      driver.device_get(&device, index), fmt::format("device cuda:{}", index));
  // LibTorch's context. Released by the end of the process alone: kernels may
  // run until then.
  driver.check(
      driver.primary_context_retain(&context_, device),
      fmt::format("context of cuda:{}", index));
  const std::string cubin = cached_kernels(sources, architecture_of(device));
  const ContextScope scope(context_);
  driver.check(
      driver.module_load_data(&module_, cubin.data()), "loading of kernels");
}

const ModuleLauncher::Kernel& ModuleLauncher::find(const char* name) const {
  const std::lock_guard lock(mutex_);
  auto it = kernels_.find(std::string_view(name));
  if (it == kernels_.end()) {
    const device::CudaDriver& driver = device::cuda_driver();
    Kernel kernel;
    driver.check(
        driver.module_get_function(&kernel.function, module_, name),
        fmt::format("kernel {}", name));
    if (driver.function_get_parameter != nullptr) {
      size_t offset = 0;
      size_t size = 0;
      while (driver.function_get_parameter(
                 kernel.function, kernel.sizes.size(), &offset, &size) == 0) {
        kernel.sizes.push_back(size);
      }
      kernel.sizes_known = true;
    }
    it = kernels_.emplace(name, std::move(kernel)).first;
  }
  return it->second;
}

void ModuleLauncher::check_sizes(
    const char* name,
    const Kernel& kernel,
    std::span<const Argument> arguments) const {
  if (!kernel.sizes_known) {
    return;
  }
  bool same = arguments.size() == kernel.sizes.size();
  for (size_t i = 0; same && i < arguments.size(); ++i) {
    same = arguments[i].size == kernel.sizes[i];
  }
  if (!same) {
    std::vector<size_t> sizes;
    for (const Argument& argument : arguments) {
      sizes.push_back(argument.size);
    }
    throw Error(fmt::format(
        "[device] kernel {} takes parameters of {} bytes, got {}.",
        name,
        fmt::join(kernel.sizes, ", "),
        fmt::join(sizes, ", ")));
  }
}

void ModuleLauncher::launch(
    const char* kernel,
    const Grid& grid,
    std::span<const Argument> arguments) const {
  const ContextScope scope(context_);
  const Kernel& found = find(kernel);
  check_sizes(kernel, found, arguments);
  std::vector<void*> addresses;
  addresses.reserve(arguments.size());
  for (const Argument& argument : arguments) {
    addresses.push_back(argument.address);
  }
  const device::CudaDriver& driver = device::cuda_driver();
  const int error = driver.launch_kernel(
      found.function,
      grid.x,
      grid.y,
      1,
      grid.threads,
      1,
      1,
      0,
      current_stream(index_),
      addresses.data(),
      nullptr);
  if (error != 0) {
    driver.check(
        error,
        fmt::format(
            "launch of kernel {}, {} x {} blocks of {} threads",
            kernel,
            grid.x,
            grid.y,
            grid.threads));
  }
}

} // namespace accrue::tensor::cuda
