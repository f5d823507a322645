// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "accrue/io/safetensors.h"
#include "io/files.h"
#include "io/json.h"

namespace accrue::io {

/// Number of elements that are converted at a time.
constexpr int64_t kPieceElements = int64_t{1} << 19;

using Shapes = std::map<std::string, std::vector<int64_t>>;

/// Throws DataError naming every tensor of `into` that is missing in `found` or
/// has another shape there, and every tensor of `found` that is unexpected.
void check_match(const Shapes& found, const TensorMap& into);

/// Returns the format's name of a dtype, e.g. "F32"; nullptr if it is not
/// supported.
const char* safetensors_name(at::ScalarType dtype);

/// A safetensors file with a valid header: every tensor has a dtype and a shape
/// that fit its bytes, and the tensors cover the data without gaps or overlaps.
/// The file is memory-mapped; tensors are read one at a time.
class SafetensorsFile {
 public:
  /// Throws DataError naming the tensor and the rule for a damaged file.
  explicit SafetensorsFile(const std::filesystem::path& path);

  struct Entry {
    at::ScalarType dtype = at::kFloat;
    std::vector<int64_t> shape;
    uint64_t begin = 0;
    uint64_t size_bytes = 0;
  };
  const std::map<std::string, Entry>& entries() const {
    return entries_;
  }

  /// Copies an entry into a contiguous tensor of its shape and converts the
  /// dtype, piece by piece, so that few pages of the file are in memory at
  /// once.
  void copy(const Entry& entry, const at::Tensor& into) const;

  /// Returns `count` elements from `first` on, in the dtype of the file. The
  /// pages of the file are released.
  at::Tensor piece(const Entry& entry, int64_t first, int64_t count) const;

 private:
  [[noreturn]] void fail(const std::string& what) const;
  Entry read_entry(const std::string& name, const Json& json) const;
  at::ScalarType parse_dtype(const std::string& name, const std::string& dtype)
      const;
  void check_coverage() const;

  std::filesystem::path path_;
  MappedFile file_;
  std::span<const std::byte> data_;
  std::map<std::string, Entry> entries_;
};

/// A tensor of an open file.
struct FileTensor {
  const SafetensorsFile* file = nullptr;
  const SafetensorsFile::Entry* entry = nullptr;
};
using FileTensors = std::map<std::string, FileTensor>;

/// Copies `from` into tensors of the same names. Throws DataError as
/// check_match() does; nothing is changed in that case.
void copy(const FileTensors& from, const TensorMap& into);

/// Returns whether both have the same shape and the same values, whatever their
/// dtypes. NaN equals nothing, as in torch.equal.
bool equal(const FileTensor& a, const FileTensor& b);

} // namespace accrue::io
