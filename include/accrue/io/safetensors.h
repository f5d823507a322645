#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace accrue {

/// Tensors by name. The map's order is the order in files.
using TensorMap = std::map<std::string, at::Tensor>;

/// Writes `tensors` in the safetensors format: sorted names, no timestamps, so
/// equal tensors give equal files. The file appears whole or not at all.
/// Dtypes: fp64, fp32, fp16, bf16, int64, uint8. Any device; copied tensor by
/// tensor. With `dtype` all are rounded to it, to nearest even, in pieces: next
/// to no memory beside. Throws DataError if the file can't be written, or
/// naming the tensor with a finite value that is infinite in `dtype`.
void save_safetensors(
    const std::filesystem::path& path,
    const TensorMap& tensors,
    std::optional<at::ScalarType> dtype = std::nullopt);

/// Reads a safetensors file into CPU tensors that own their memory. Throws
/// DataError naming the tensor and the rule for a damaged file.
TensorMap load_safetensors(const std::filesystem::path& path);

/// Copies a file's tensors into contiguous ones of the same names, converting
/// dtypes, in pieces: next to no memory beside. Throws DataError naming every
/// tensor that is missing, not expected or of another shape; nothing has
/// changed then.
void load_safetensors(const std::filesystem::path& path, const TensorMap& into);

/// The same from tensors in memory.
void copy_tensors(const TensorMap& from, const TensorMap& into);

} // namespace accrue
