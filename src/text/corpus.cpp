// SPDX-License-Identifier: Apache-2.0
#include "text/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "accrue/core/error.h"
#include "text/corpus_builder.h"
#include "text/corpus_cache.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

/// Size and time of a file, which show whether it was changed.
struct FileStamp {
  uint64_t size_bytes = 0;
  fs::file_time_type time;
  bool operator==(const FileStamp&) const = default;
};

FileStamp stamp_of(const fs::path& path) {
  return {fs::file_size(path), fs::last_write_time(path)};
}

void check_unchanged(
    const std::vector<fs::path>& files,
    const std::vector<FileStamp>& stamps) {
  for (size_t i = 0; i < files.size(); ++i) {
    if (stamp_of(files[i]) != stamps[i]) {
      throw DataError(fmt::format(
          "[data] {} was changed while it was read. Run again when it is "
          "complete.",
          files[i].string()));
    }
  }
}

/// Tokenizes files into a new entry of the cache. Fails if a file was changed
/// since its stamp was taken.
void build_entry(
    const fs::path& entry,
    const std::vector<fs::path>& files,
    const std::vector<FileStamp>& stamps,
    const CorpusOptions& options,
    const ProgressCallback& progress) {
  io::make_directory(options.cache);
  CorpusBuilder builder(options, entry, progress);
  builder.run(files);
  check_unchanged(files, stamps);
  CorpusNote note{.kind = builder.kind(), .counts = builder.counts()};
  for (const char* suffix : {".tokens", ".trained", ".documents"}) {
    note.digest +=
        io::to_text(io::digest_file(entry_file(entry, suffix))) + " ";
  }
  write_note(entry, note, files);
}

} // namespace

std::string describe(const CorpusCounts& counts) {
  std::string text;
  auto add = [&](uint64_t count, const std::string& what) {
    text += count > 0 ? fmt::format(", {} {}", count, what) : "";
  };
  add(counts.bad_lines, "bad lines skipped");
  add(counts.truncated,
      fmt::format(
          "cut to --seq-len, which takes {:.1f} % of their tokens",
          100.0 * static_cast<double>(counts.removed_tokens) /
              static_cast<double>(counts.whole_tokens)));
  add(counts.dropped, "dropped (too long or nothing to train on)");
  return text;
}

Corpus::Corpus(const fs::path& entry, size_t width)
    : width_(width),
      tokens_(entry_file(entry, ".tokens")),
      loss_mask_(entry_file(entry, ".trained")),
      documents_(entry_file(entry, ".documents")) {
  CorpusNote note = read_note(entry);
  kind_ = note.kind;
  counts_ = note.counts;
  digest_ = std::move(note.digest);
}

Corpus Corpus::open(
    const CorpusOptions& given,
    const ProgressCallback& progress) {
  CorpusOptions options = given;
  std::optional<ChatFormat> suggested;
  if (options.format == nullptr) {
    options.format = &suggested.emplace(options.vocabulary, "", ChatOptions{});
  }
  auto [files, left_out] = list_data_files(options.paths);
  std::vector<FileStamp> stamps(files.size());
  std::transform(files.begin(), files.end(), stamps.begin(), stamp_of);
  const fs::path entry = options.cache / cache_key(files, options, progress);
  if (!fs::exists(entry_file(entry, ".json"))) {
    build_entry(entry, files, stamps, options, progress);
  }
  Corpus corpus(entry, token_width(options.vocabulary));
  corpus.left_out_ = std::move(left_out);
  const uint64_t documents = corpus.num_documents();
  if (documents == 0) {
    throw DataError(fmt::format(
        "[data] {} holds nothing to train on ({} bad lines skipped, {} "
        "examples dropped).",
        files.front().string(),
        corpus.counts_.bad_lines,
        corpus.counts_.dropped));
  }
  if (corpus.document_end(documents - 1) != corpus.num_tokens()) {
    fail_damaged_entry(entry);
  }
  return corpus;
}

std::vector<int64_t> Corpus::tokens(uint64_t begin, uint64_t end) const {
  std::vector<int64_t> tokens;
  tokens.reserve(end - begin);
  for (uint64_t i = begin; i < end; ++i) {
    uint32_t token = 0;
    std::memcpy(&token, tokens_.bytes().data() + i * width_, width_);
    tokens.push_back(token);
  }
  tokens_.release_pages();
  return tokens;
}

std::vector<uint8_t> Corpus::loss_mask(uint64_t begin, uint64_t end) const {
  auto bytes = loss_mask_.bytes().subspan(begin, end - begin);
  std::vector<uint8_t> mask(bytes.size());
  std::memcpy(mask.data(), bytes.data(), bytes.size());
  loss_mask_.release_pages();
  return mask;
}

uint64_t Corpus::document_end(uint64_t index) const {
  uint64_t end = 0;
  std::memcpy(&end, documents_.bytes().data() + index * sizeof end, sizeof end);
  return end;
}

fs::path default_cache() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg) {
    return fs::path(xdg) / "accrue";
  }
  if (const char* home = std::getenv("HOME"); home && *home) {
    return fs::path(home) / ".cache" / "accrue";
  }
  return fs::temp_directory_path() / "accrue-cache";
}

} // namespace accrue
