// SPDX-License-Identifier: Apache-2.0
#include "text/corpus_cache.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "io/hash.h"
#include "io/json.h"
#include "text/byte_progress.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kFormat = 6; // part of the cache key

/// Names of ExampleKind in KEY.json, in the order of its values.
constexpr std::array<std::string_view, 3> kKindNames{
    "text",
    "chat",
    "preference"};

} // namespace

std::string cache_key(
    const std::vector<fs::path>& files,
    const CorpusOptions& options,
    const ProgressCallback& progress) {
  uint64_t a = kFormat;
  uint64_t b = ~a;
  auto add = [&](uint64_t word) {
    a = mix(a, word);
    b = mix(b, ~word);
  };
  add(options.skip_bad_lines ? 1 : 0);
  add(options.vocabulary.digest());
  add(options.preference ? 1 : 0);
  ByteProgress hashed("looking for the tokens in the cache", progress);
  bool any_records = false;
  for (const fs::path& file : files) {
    hashed.expect(fs::file_size(file));
  }
  for (const fs::path& file : files) {
    const FileFormat format = file_format(file);
    any_records |= format.is_json();
    add(format.is_json() ? 1 : 0);
    add(static_cast<uint64_t>(format.compression));
    add(fs::file_size(file));
    add(io::hash_file(file, [&](uint64_t bytes) { hashed.add(bytes); }));
  }
  if (any_records) {
    add(options.format->digest());
    add(static_cast<uint64_t>(options.seq_len)); // examples are truncated
    add(static_cast<uint64_t>(options.too_long));
  }
  return fmt::format("{:016x}{:016x}", a, b);
}

fs::path entry_file(const fs::path& entry, const char* suffix) {
  return fs::path(entry) += suffix;
}

size_t token_width(const Vocabulary& vocabulary) {
  return vocabulary.size() <= 0x100 ? 1 : vocabulary.size() <= 0x10000 ? 2 : 4;
}

void write_note(
    const fs::path& entry,
    const CorpusNote& note,
    const std::vector<fs::path>& files) {
  io::OrderedJson json;
  json["kind"] = kKindNames[static_cast<size_t>(note.kind)];
  json["bad_lines"] = note.counts.bad_lines;
  json["cut"] = note.counts.truncated;
  json["whole_tokens"] = note.counts.whole_tokens;
  json["cut_tokens"] = note.counts.removed_tokens;
  json["dropped"] = note.counts.dropped;
  json["digest"] = note.digest;
  for (const fs::path& file : files) {
    json["files"].push_back(fs::absolute(file).string());
  }
  io::write_file(entry_file(entry, ".json"), json.dump(2) + "\n");
}

CorpusNote read_note(const fs::path& entry) {
  const io::Json json = io::read_json(entry_file(entry, ".json"));
  const std::string kind = json.value("kind", "");
  CorpusNote note;
  size_t index = 0;
  while (index < kKindNames.size() && kKindNames[index] != kind) {
    ++index;
  }
  if (index == kKindNames.size()) {
    fail_damaged_entry(entry);
  }
  note.kind = static_cast<ExampleKind>(index);
  note.counts = {
      .bad_lines = json.value("bad_lines", uint64_t{0}),
      .truncated = json.value("cut", uint64_t{0}),
      .whole_tokens = json.value("whole_tokens", uint64_t{0}),
      .removed_tokens = json.value("cut_tokens", uint64_t{0}),
      .dropped = json.value("dropped", uint64_t{0})};
  note.digest = json.value("digest", "");
  return note;
}

void fail_damaged_entry(const fs::path& entry) {
  throw DataError(fmt::format(
      "[data] the cached tokens {} are damaged. Remove that file; the tokens "
      "will be cached again.",
      entry_file(entry, ".json").string()));
}

} // namespace accrue
