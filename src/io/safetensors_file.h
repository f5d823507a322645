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

/// Tensors are converted in pieces of so many.
constexpr int64_t kPieceElements = int64_t{1} << 19;

using Shapes = std::map<std::string, std::vector<int64_t>>;

/// Throws DataError naming every tensor of `into` that is missing or of another
/// shape, and every one that is not expected.
void check_match(const Shapes& found, const TensorMap& into);

/// "F32", or nullptr for a dtype that files don't have here.
const char* safetensors_name(at::ScalarType dtype);

/// A safetensors file whose header is sound: every tensor has a dtype and a
/// shape that its bytes fill, and together they cover the data without gaps or
/// overlaps. Mapped; tensors are read one at a time.
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

  /// Converts an entry into a contiguous tensor of its shape, piece by piece,
  /// so that few pages of the file are in memory at once.
  void copy(const Entry& entry, const at::Tensor& into) const;

  /// `count` elements from `first`, as they are stored. The file's pages don't
  /// stay in memory.
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

/// A tensor of a file that stays open.
struct FileTensor {
  const SafetensorsFile* file = nullptr;
  const SafetensorsFile::Entry* entry = nullptr;
};
using FileTensors = std::map<std::string, FileTensor>;

/// Copies `from` into tensors of the same names. Throws DataError as
/// check_match() does; nothing has changed then.
void copy(const FileTensors& from, const TensorMap& into);

/// True if the two have one shape and the same values, in whatever dtypes. As
/// torch.equal: NaN equals nothing.
bool equal(const FileTensor& a, const FileTensor& b);

} // namespace accrue::io
