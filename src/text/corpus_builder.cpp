// SPDX-License-Identifier: Apache-2.0
#include "text/corpus_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "accrue/core/error.h"
#include "text/corpus_cache.h"
#include "text/unicode.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes = size_t{1} << 20; // text of a batch

/// Returns the offset of the first byte that is not text, or npos.
size_t find_non_text(std::string_view text) {
  return std::min(unicode::find_invalid(text), text.find('\0'));
}

} // namespace

CorpusBuilder::CorpusBuilder(
    const CorpusOptions& options,
    const fs::path& entry,
    const ProgressCallback& progress)
    : options_(options),
      progress_(progress),
      read_("reading text", progress),
      example_options_{
          .vocabulary = &options.vocabulary,
          .format = options.format,
          .preference = options.preference,
          .seq_len = options.seq_len,
          .too_long = options.too_long},
      width_(token_width(options.vocabulary)),
      tokens_(entry_file(entry, ".tokens")),
      loss_mask_(entry_file(entry, ".trained")),
      documents_(entry_file(entry, ".documents")) {
  size_t threads = options.threads > 0
      ? static_cast<size_t>(options.threads)
      : std::max(1U, std::thread::hardware_concurrency());
  for (size_t i = 0; i < threads; ++i) {
    encoders_.emplace_back(options.vocabulary);
  }
}

void CorpusBuilder::run(const std::vector<fs::path>& files) {
  for (const fs::path& path : files) {
    read_.expect(fs::file_size(path));
  }
  for (const fs::path& path : files) {
    for_each_piece(open(path), [&](const DataPiece& piece) {
      batch_.push_back(piece);
      batch_bytes_ += piece.text.size();
      if (batch_bytes_ >= kBatchBytes) {
        tokenize_batch();
      }
    });
  }
  tokenize_batch();
  documents_.commit();
  loss_mask_.commit();
  tokens_.commit();
}

std::shared_ptr<const DataFile> CorpusBuilder::open(const fs::path& path) {
  ByteProgress count("decompressing", progress_);
  count.expect(fs::file_size(path));
  auto file = open_data_file(
      path, options_.cache, [&](uint64_t bytes) { count.add(bytes); });
  if (file->map.bytes().size() > fs::file_size(path)) { // it was decompressed
    read_.expect(file->map.bytes().size() - fs::file_size(path));
  }
  return file;
}

void CorpusBuilder::tokenize_batch() {
  std::vector<Example> results(batch_.size());
  std::vector<std::exception_ptr> errors(batch_.size());
  std::atomic<size_t> next{0};
  auto run = [&](Vocabulary::Encoder& encoder) {
    for (size_t i = next++; i < batch_.size(); i = next++) {
      try {
        results[i] = tokenize(batch_[i], encoder);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    size_t wanted = std::min(encoders_.size(), batch_.size());
    for (size_t i = 1; i < wanted; ++i) {
      helpers.emplace_back([&, i] { run(encoders_[i]); });
    }
    run(encoders_[0]);
  }
  for (size_t i = 0; i < batch_.size(); ++i) {
    if (errors[i]) {
      std::rethrow_exception(errors[i]);
    }
    store(batch_[i], results[i]);
    if (i + 1 == batch_.size() || batch_[i + 1].file != batch_[i].file) {
      batch_[i].file->map.release_pages();
    }
  }
  read_.add(batch_bytes_);
  batch_.clear();
  batch_bytes_ = 0;
}

Example CorpusBuilder::tokenize(
    const DataPiece& piece,
    Vocabulary::Encoder& encoder) const {
  if (piece.is_record) {
    return read_example(piece.text, example_options_, encoder);
  }
  Example block;
  size_t bad = find_non_text(piece.text);
  if (bad != std::string_view::npos) {
    const auto* start =
        reinterpret_cast<const char*>(piece.file->map.bytes().data());
    throw DataError(fmt::format(
        "[data] {} is not UTF-8 text: byte {} is 0x{:02x} (line {}). It is "
        "binary, truncated or in another encoding (convert it with iconv).",
        piece.file->path.string(),
        piece.text.data() + bad - start,
        static_cast<unsigned char>(piece.text[bad]),
        position_of(piece, bad).line));
  }
  if (options_.preference) {
    throw DataError(fmt::format(
        "[data] {} is plain text. --objective dpo needs JSON lines with "
        "\"prompt\", \"chosen\" and \"rejected\".",
        piece.file->path.string()));
  }
  TrainingSequence sequence;
  auto& tokens = sequence.tokens;
  tokens = encoder(
      piece.text, {.special_tokens = false, .continued = !piece.begins});
  if (piece.begins) {
    options_.vocabulary.begin_document(tokens);
  }
  if (piece.ends) {
    options_.vocabulary.end_document(tokens);
  }
  block.sequences.push_back(std::move(sequence));
  return block;
}

void CorpusBuilder::store(const DataPiece& piece, const Example& example) {
  std::string problem = example.problem;
  if (problem.empty() && kind_ && *kind_ != example.kind) {
    problem =
        "is of another kind than the records before it: text, conversations "
        "and preferences can't be mixed";
  }
  if (!problem.empty()) {
    handle_problem(piece, example, problem);
    return;
  }
  if (example.truncated && !example.dropped) {
    ++counts_.truncated;
    counts_.whole_tokens += example.whole_tokens;
    counts_.removed_tokens += example.removed_tokens;
  }
  counts_.dropped += example.dropped ? 1 : 0;
  kind_ = example.kind;
  for (const TrainingSequence& sequence : example.sequences) {
    write(piece, sequence);
  }
}

void CorpusBuilder::handle_problem(
    const DataPiece& piece,
    const Example& example,
    const std::string& problem) {
  if (options_.skip_bad_lines && piece.is_record) {
    ++counts_.bad_lines;
    return;
  }
  auto [line, column] = position_of(piece, example.problem_offset.value_or(0));
  throw DataError(fmt::format(
      "[data] line {} of {}{}: {}. Fix the line or pass --skip-bad-lines.",
      line,
      piece.file->path.string(),
      example.problem_offset ? fmt::format(", column {}", column) : "",
      problem));
}

void CorpusBuilder::write(
    const DataPiece& piece,
    const TrainingSequence& sequence) {
  options_.vocabulary.check_embedded(sequence.tokens, [&] {
    const std::string path = piece.file->path.string();
    return piece.is_record
        ? fmt::format("line {} of {}", position_of(piece, 0).line, path)
        : path;
  });
  packed_.clear();
  for (uint32_t token : sequence.tokens) { // little-endian
    packed_.append(reinterpret_cast<const char*>(&token), width_);
  }
  tokens_.write(packed_);
  loss_mask_.write(std::as_bytes(std::span(sequence.loss_mask)));
  num_tokens_ += sequence.tokens.size();
  if (piece.ends) {
    documents_.write(std::as_bytes(std::span(&num_tokens_, 1)));
  }
}

} // namespace accrue
