// SPDX-License-Identifier: Apache-2.0
#include "tensor/backend.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "accrue/core/error.h"
#include "tensor/environment.h"

namespace accrue::tensor {
namespace {

const Backend& choose_backend() {
  const char* requested = std::getenv("ACCRUE_BACKEND");
  if (requested == nullptr || *requested == '\0') {
    return cpu_backend();
  }
  const std::array<const Backend*, 2> backends = {
      &cpu_backend(), &portable_backend()};
  for (const Backend* backend : backends) {
    if (std::string_view(requested) == backend->name()) {
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

const Backend& backend_of(const at::Tensor& tensor) {
  return tensor.is_cpu() ? backend_of_cpu_tensors() : portable_backend();
}

const char* backend_name() {
  return backend_of_cpu_tensors().name();
}

} // namespace accrue::tensor
