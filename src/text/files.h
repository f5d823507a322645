// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "text/decompress.h"

namespace accrue {

/// Format of a data file, told by the end of its name.
struct FileFormat {
  /// Extension in lower case, without .gz or .zst.
  std::string extension;
  Compression compression = Compression::kNone;

  /// Returns true for .jsonl, .ndjson and .json: files of records. Any other
  /// file is text.
  bool is_json() const;
};

FileFormat file_format(const std::filesystem::path& path);

/// Numbers of files in folders that are not read, by extension.
using LeftOut = std::map<std::string, uint64_t>;

/// Returns "left out     2 .csv, 1 .md (…)".
std::string left_out_line(const LeftOut& left_out);

/// Files that --data or --valid names, including those in folders.
struct DataFiles {
  std::vector<std::filesystem::path> paths;
  LeftOut left_out;
};

/// Lists files and the files of folders. Throws DataError naming every path
/// that is missing, is a table (.csv, .parquet and so on) or an archive, with
/// the command that converts it.
DataFiles list_data_files(const std::vector<std::string>& paths);

/// Throws DataError if the contents of `path` are those of a compressed file, a
/// table or an archive, or UTF-16, with the command that converts it.
void check_contents(
    const std::filesystem::path& path,
    std::string_view contents);

} // namespace accrue
