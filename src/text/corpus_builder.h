// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/files.h"
#include "text/byte_progress.h"
#include "text/corpus.h"
#include "text/pieces.h"

namespace accrue {

/// Tokenizes files into the files of a cache entry.
class CorpusBuilder {
 public:
  /// `options`, with a format, and `progress` must outlive this object. `entry`
  /// is the path of the entry.
  CorpusBuilder(
      const CorpusOptions& options,
      const std::filesystem::path& entry,
      const ProgressCallback& progress);

  /// Tokenizes the files and writes the files of the entry, except for the
  /// note. Throws DataError naming file and line.
  void run(const std::vector<std::filesystem::path>& files);

  ExampleKind kind() const {
    return kind_.value_or(ExampleKind::kText);
  }
  const CorpusCounts& counts() const {
    return counts_;
  }

 private:
  std::shared_ptr<const DataFile> open(const std::filesystem::path& path);

  /// Tokenizes the batch in parallel, then stores the results in order.
  void tokenize_batch();

  Example tokenize(const DataPiece& piece, Vocabulary::Encoder& encoder) const;

  /// Adds an example to the files of the entry, or counts why it is not added.
  void store(const DataPiece& piece, const Example& example);
  /// Throws DataError about a record, or counts it if such records are skipped.
  void handle_problem(
      const DataPiece& piece,
      const Example& example,
      const std::string& problem);
  /// Adds a sequence to the files of the entry.
  void write(const DataPiece& piece, const TrainingSequence& sequence);

  const CorpusOptions& options_;
  const ProgressCallback& progress_;
  ByteProgress read_;
  ExampleOptions example_options_;
  size_t width_;
  std::deque<Vocabulary::Encoder> encoders_; // one per thread
  io::FileWriter tokens_;
  io::FileWriter loss_mask_;
  io::FileWriter documents_;
  std::string packed_; // tokens as bytes of the file
  std::vector<DataPiece> batch_;
  size_t batch_bytes_ = 0;
  std::optional<ExampleKind> kind_;
  CorpusCounts counts_;
  uint64_t num_tokens_ = 0;
};

} // namespace accrue
