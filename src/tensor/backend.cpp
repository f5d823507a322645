// SPDX-License-Identifier: Apache-2.0
#include "tensor/backend.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "accrue/core/error.h"
#include "tensor/environment.h"

namespace accrue::tensor {
namespace {

/// Returns the backends that CPU tensors may have.
std::vector<const Backend*>& known_backends() {
  static std::vector<const Backend*> backends = {
      &cpu_backend(), &portable_backend()};
  return backends;
}

/// Returns what ACCRUE_BACKEND says; "": nothing.
std::string_view requested_backend() {
  const char* requested = std::getenv("ACCRUE_BACKEND");
  return requested == nullptr ? "" : requested;
}

const Backend& choose_backend() {
  const std::string_view requested = requested_backend();
  if (requested.empty()) {
    return cpu_backend();
  }
  for (const Backend* backend : known_backends()) {
    if (requested == backend->name()) {
      return *backend;
    }
  }
  throw ConfigError(fmt::format(
      "[ACCRUE_BACKEND] there is no backend \"{}\". Choose cpu or portable, or "
      "unset ACCRUE_BACKEND to take cpu.",
      requested));
}

/// Returns the backend of CPU tensors.
const Backend& backend_of_cpu_tensors() {
  static const Backend& chosen = choose_backend();
  return chosen;
}

} // namespace

void register_backend(const Backend& backend) {
  known_backends().push_back(&backend);
}

void fail_target(int64_t target, int64_t vocab) {
  throw DataError(fmt::format(
      "[model] target {} is not in the vocabulary of {}.", target, vocab));
}

void fail_position(int64_t position, int64_t positions) {
  throw DataError(fmt::format(
      "[model] position {} is not among the {} of the model. Shorten the "
      "samples.",
      position,
      positions));
}

const Backend& backend_of(const at::Device& device) {
  return device.is_cpu() ? backend_of_cpu_tensors()
      : device.is_cuda() && requested_backend() != "portable"
      ? cuda_backend(device.has_index() ? device.index() : 0)
      : portable_backend();
}

const Backend& backend_of(const at::Tensor& tensor) {
  return backend_of(tensor.device());
}

bool sums_by_sample(const at::Device& device) {
  return backend_of(device).cut(Type::kF32).by_sample;
}

const char* backend_name() {
  return backend_of_cpu_tensors().name();
}

} // namespace accrue::tensor
