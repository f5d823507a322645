// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "io/files.h"

namespace accrue {

/// A data file, memory-mapped.
struct DataFile {
  std::filesystem::path path;
  io::MappedFile map;
  std::string_view text; // without a byte order mark
};

/// Opens a data file. A compressed one is decompressed into a nameless file in
/// `folder`; progress(bytes) is called with compressed bytes. Throws DataError
/// for a file that is empty or whose contents are not text.
std::shared_ptr<const DataFile> open_data_file(
    const std::filesystem::path& path,
    const std::filesystem::path& folder,
    const std::function<void(uint64_t bytes)>& progress = {});

/// A piece of a data file that can be tokenized independently.
struct DataPiece {
  std::shared_ptr<const DataFile> file;
  std::string_view text;
  /// Whether this is a JSON record. Otherwise it is a block of plain text.
  bool is_record = false;
  /// Whether a document begins (ends) with this piece.
  bool begins = true;
  bool ends = true;
};

/// Calls use(piece) for all pieces of a file, in order: its records, or blocks
/// of some KiB. A block ends before a space or line break between letters,
/// where tokenizers start a new token. Throws DataError if records can't be
/// told apart.
void for_each_piece(
    const std::shared_ptr<const DataFile>& file,
    const std::function<void(const DataPiece&)>& use);

/// Position of a byte in a file as editors show it: counted from 1, columns in
/// characters.
struct TextPosition {
  size_t line = 1;
  size_t column = 1;
};

/// Returns the position of the byte at `offset` in the piece.
TextPosition position_of(const DataPiece& piece, size_t offset);

} // namespace accrue
