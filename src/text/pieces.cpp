// SPDX-License-Identifier: Apache-2.0
#include "text/pieces.h"

#include <fmt/format.h>

#include <algorithm>

#include "accrue/core/error.h"
#include "io/json_parser.h"
#include "text/files.h"
#include "text/json_splitter.h"
#include "text/unicode.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlockBytes = size_t{64} << 10;
constexpr size_t kPositionBlockBytes = size_t{1} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Returns the end of the block at the start of `text`.
size_t block_end(std::string_view text) {
  if (text.size() <= kBlockBytes) {
    return text.size();
  }
  for (size_t end = kBlockBytes; end > kBlockBytes / 2; --end) {
    if ((text[end] == ' ' || text[end] == '\n') && is_letter(text[end - 1]) &&
        is_letter(text[end + 1 < text.size() ? end + 1 : end])) {
      return end;
    }
  }
  size_t end = kBlockBytes; // no spaces: maybe a table, or another script
  while (end > 1 && unicode::continues(text[end])) {
    --end;
  }
  return end;
}

void for_each_record(
    DataPiece piece,
    const std::function<void(const DataPiece&)>& use) {
  const std::string_view text = piece.file->text;
  try {
    JsonSplitter records(text);
    while (auto record = records.next()) {
      piece.text = *record;
      use(piece);
    }
  } catch (const io::JsonError& error) {
    piece.text = text;
    auto [line, column] = position_of(piece, error.offset());
    throw DataError(fmt::format(
        "[data] line {} of {}, column {}: {}. Fix the file.",
        line,
        piece.file->path.string(),
        column,
        error.what()));
  }
}

void for_each_block(
    DataPiece piece,
    const std::function<void(const DataPiece&)>& use) {
  for (std::string_view rest = piece.file->text; !rest.empty();) {
    piece.text = rest.substr(0, block_end(rest));
    piece.begins = rest.size() == piece.file->text.size();
    rest.remove_prefix(piece.text.size());
    piece.ends = rest.empty();
    use(piece);
  }
}

} // namespace

std::shared_ptr<const DataFile> open_data_file(
    const fs::path& path,
    const fs::path& folder,
    const std::function<void(uint64_t bytes)>& progress) {
  const Compression compression = file_format(path).compression;
  auto file = std::make_shared<DataFile>();
  file->path = path;
  file->map = compression == Compression::kNone
      ? io::MappedFile(path)
      : decompress(path, compression, folder, progress);
  file->text = {
      reinterpret_cast<const char*>(file->map.bytes().data()),
      file->map.bytes().size()};
  check_contents(path, file->text);
  if (file->text.starts_with(kByteOrderMark)) {
    file->text.remove_prefix(kByteOrderMark.size());
  }
  if (file->text.empty()) {
    throw DataError(fmt::format(
        "[data] {} is empty. Remove it or restore its contents.",
        path.string()));
  }
  return file;
}

void for_each_piece(
    const std::shared_ptr<const DataFile>& file,
    const std::function<void(const DataPiece&)>& use) {
  DataPiece piece{.file = file, .is_record = file_format(file->path).is_json()};
  if (piece.is_record) {
    for_each_record(std::move(piece), use);
  } else {
    for_each_block(std::move(piece), use);
  }
}

TextPosition position_of(const DataPiece& piece, size_t offset) {
  std::string_view before(
      piece.file->text.data(),
      static_cast<size_t>(piece.text.data() - piece.file->text.data()) +
          offset);
  TextPosition position;
  while (!before.empty()) {
    std::string_view block = before.substr(0, kPositionBlockBytes);
    before.remove_prefix(block.size());
    const auto lines = std::count(block.begin(), block.end(), '\n');
    if (lines > 0) {
      position = {position.line + static_cast<size_t>(lines), 1};
      block.remove_prefix(block.rfind('\n') + 1);
    }
    position.column += static_cast<size_t>(
        std::count_if(block.begin(), block.end(), [](char c) {
          return !unicode::continues(c);
        }));
    piece.file->map.release_pages(); // the text before may be gigabytes
  }
  return position;
}

} // namespace accrue
