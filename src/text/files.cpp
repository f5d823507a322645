#include "text/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <system_error>

#include "accrue/core/error.h"
#include "text/unicode.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlockBytes = size_t{64} << 10;

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(
      extension.begin(), extension.end(), extension.begin(), [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      });
  return extension;
}

void add_folder(const fs::path& folder, std::vector<fs::path>& files) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::string extension = lower_extension(entry.path());
    if (entry.is_regular_file() &&
        (extension == ".txt" || extension == ".jsonl")) {
      found.push_back(entry.path());
    }
  }
  if (found.empty()) {
    throw DataError(fmt::format(
        "[data] the folder {} holds no .txt or .jsonl file. Name the files "
        "themselves if they end otherwise.",
        folder.string()));
  }
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Where the block at the start of `text` ends.
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
  size_t end = kBlockBytes; // no spaces: a table, or another script
  while (end > 1 && unicode::continues(text[end])) {
    --end;
  }
  return end;
}

} // namespace

bool is_json_lines(const fs::path& path) {
  std::string extension = lower_extension(path);
  return extension == ".jsonl" || extension == ".ndjson" ||
      extension == ".json";
}

std::vector<fs::path> list_data_files(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  Problems missing;
  for (const fs::path path : paths) {
    std::error_code code;
    auto status = fs::status(path, code);
    if (fs::is_directory(status)) {
      add_folder(path, files);
    } else if (fs::is_regular_file(status)) {
      files.push_back(path);
    } else {
      missing.add(fmt::format(
          "{} {}. Check the path given to --data or --valid.",
          path.string(),
          fs::exists(status) ? "is neither a file nor a folder"
                             : "does not exist"));
    }
  }
  missing.throw_if_any<DataError>("data");
  return files;
}

void for_each_piece(
    const fs::path& path,
    const std::function<void(const DataPiece&)>& use) {
  DataPiece piece;
  piece.file = std::make_shared<io::MappedFile>(path);
  piece.path = &path;
  std::string_view text(
      reinterpret_cast<const char*>(piece.file->bytes().data()),
      piece.file->bytes().size());
  if (text.empty()) {
    throw DataError(fmt::format(
        "[data] {} is empty. Remove it or restore its contents.",
        path.string()));
  }
  const bool lines = is_json_lines(path);
  while (!text.empty()) {
    size_t taken = block_end(text);
    piece.text = text.substr(0, taken);
    if (lines) {
      ++piece.line;
      size_t end = std::min(text.find('\n'), text.size());
      piece.text = text.substr(0, end);
      taken = std::min(end + 1, text.size());
    } else {
      piece.begins = piece.offset == 0;
      piece.ends = taken == text.size();
    }
    if (!lines ||
        piece.text.find_first_not_of(" \t\r") != std::string_view::npos) {
      use(piece);
    }
    piece.offset += taken;
    text.remove_prefix(taken);
  }
}

} // namespace accrue
