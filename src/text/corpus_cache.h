// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "text/corpus.h"

// Entries of the cache of tokenized corpora. An entry has four files, named by
// its key: KEY.tokens, KEY.trained (the loss mask), KEY.documents (their ends)
// and KEY.json (everything else). The last is written last: if it exists, the
// entry is complete.

namespace accrue {

/// Returns the key of a cache entry, which depends on the contents of the files
/// but not on their paths.
std::string cache_key(
    const std::vector<std::filesystem::path>& files,
    const CorpusOptions& options,
    const ProgressCallback& progress);

/// Returns the path of a file of an entry: that of the entry, with `suffix`.
std::filesystem::path entry_file(
    const std::filesystem::path& entry,
    const char* suffix);

/// Returns the number of bytes per token in the cache.
size_t token_width(const Vocabulary& vocabulary);

/// Contents of KEY.json.
struct CorpusNote {
  ExampleKind kind = ExampleKind::kText;
  CorpusCounts counts;
  std::string digest; // of the other files
};

/// Writes KEY.json. `files` are listed in it for people who look at the cache.
void write_note(
    const std::filesystem::path& entry,
    const CorpusNote& note,
    const std::vector<std::filesystem::path>& files);

/// Reads KEY.json. Throws DataError if it is damaged.
CorpusNote read_note(const std::filesystem::path& entry);

/// Throws DataError, which says that the entry is damaged.
[[noreturn]] void fail_damaged_entry(const std::filesystem::path& entry);

} // namespace accrue
