// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

// Values of fresh parameters. Each is a function of its key and its index, made
// on the CPU whatever the tensor's device.

namespace accrue {

/// Returns a number for a name, for keys.
uint64_t hash_name(const std::string& name);

/// Fills a tensor with uniform values in ±bound.
void fill_uniform(at::Tensor& tensor, double bound, uint64_t key);

/// Fills a tensor with normal values of mean 0.
void fill_normal(at::Tensor& tensor, double std, uint64_t key);

} // namespace accrue
