// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "accrue/core/export.h"

namespace accrue {

/// Tensors by name. The map's order is the order in files.
using TensorMap = std::map<std::string, at::Tensor>;

/// Writes `tensors` in the safetensors format: names are sorted and there are
/// no timestamps, so equal tensors give equal files. Readers see the old file
/// or the whole new one. Dtypes: fp64, fp32, fp16, bf16, int64, int32, uint8,
/// bool. Tensors may be on any device; they are copied to the CPU one at a
/// time. With `dtype` all values are rounded to it (to nearest, ties to even),
/// in pieces, which takes hardly any extra memory. Throws DataError if the file
/// can't be written, or if a finite value becomes infinite in `dtype`; the
/// message names the tensor.
ACCRUE_API void save_safetensors(
    const std::filesystem::path& path,
    const TensorMap& tensors,
    std::optional<at::ScalarType> dtype = std::nullopt);

/// Reads a safetensors file into CPU tensors that own their memory. Throws
/// DataError naming the tensor and the rule for a damaged file.
[[nodiscard]] ACCRUE_API TensorMap
load_safetensors(const std::filesystem::path& path);

/// Copies a file's tensors into those of the same names in `into`, which must
/// be contiguous, and converts dtypes. Works in pieces, which takes hardly any
/// extra memory. Throws DataError naming every tensor that is missing,
/// unexpected or of another shape; nothing is changed in that case.
ACCRUE_API void load_safetensors(
    const std::filesystem::path& path,
    const TensorMap& into);

/// Copies tensors in memory, otherwise like load_safetensors() above.
ACCRUE_API void copy_tensors(const TensorMap& from, const TensorMap& into);

} // namespace accrue
