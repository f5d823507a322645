#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "io/files.h"

namespace accrue {

/// The text of a data file, mapped.
struct DataFile {
  std::filesystem::path path;
  io::MappedFile map;
  std::string_view text; // without a byte order mark
};

/// Opens a data file. A compressed one is decompressed into a nameless file in
/// `folder`; `progress` is told the compressed bytes done. Throws DataError for
/// a file that is empty or whose contents are not text.
std::shared_ptr<const DataFile> open_data_file(
    const std::filesystem::path& path,
    const std::filesystem::path& folder,
    const std::function<void(uint64_t bytes)>& progress = {});

/// A piece of a data file that can be worked on by itself.
struct DataPiece {
  std::shared_ptr<const DataFile> file;
  std::string_view text;
  /// A JSON record; else a block of plain text.
  bool is_record = false;
  /// A document begins (ends) with the block.
  bool begins = true;
  bool ends = true;
};

/// Calls use(piece) for everything in a file, in order: its records, or blocks
/// of some KiB that end where tokenizers begin anew, before a space or line
/// break between letters. Throws DataError if records can't be told apart.
void for_each_piece(
    const std::shared_ptr<const DataFile>& file,
    const std::function<void(const DataPiece&)>& use);

/// Where a byte of a file is, as editors count: from 1, a column being a
/// character.
struct TextPosition {
  size_t line = 1;
  size_t column = 1;
};

/// Of the byte at `offset` in the piece.
TextPosition position_of(const DataPiece& piece, size_t offset);

} // namespace accrue
