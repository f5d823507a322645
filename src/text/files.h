#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/files.h"

namespace accrue {

/// The files that --data or --valid names, folders walked. Throws DataError
/// naming every path that is missing.
std::vector<std::filesystem::path> list_data_files(
    const std::vector<std::string>& paths);

/// True for .jsonl, .ndjson and .json.
bool is_json_lines(const std::filesystem::path& path);

/// A piece of a data file that can be worked on by itself.
struct DataPiece {
  std::shared_ptr<const io::MappedFile> file;
  const std::filesystem::path* path = nullptr;
  /// Line number from 1 in a file of JSON lines; 0: a block of plain text.
  uint64_t line = 0;
  uint64_t offset = 0; // in the file
  std::string_view text;
  /// A document begins (ends) with the block.
  bool begins = true;
  bool ends = true;
};

/// Calls use(piece) for everything in a file, in order: its lines that are not
/// blank, or blocks of some KiB that end where tokenizers begin anew, before a
/// space or line break between letters. Throws DataError for an empty file.
void for_each_piece(
    const std::filesystem::path& path,
    const std::function<void(const DataPiece&)>& use);

} // namespace accrue
