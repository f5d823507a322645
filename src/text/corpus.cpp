#include "text/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <thread>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "io/hash.h"
#include "io/json.h"
#include "text/pieces.h"
#include "text/unicode.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kFormat = 5; // part of the cache key
constexpr size_t kBatchBytes = size_t{1} << 20; // text of a batch

/// Reports how many of the expected bytes are done.
class ByteCount {
 public:
  ByteCount(const char* what, const ProgressCallback& progress)
      : what_(what), progress_(progress) {}

  void expect(uint64_t bytes) {
    total_ += bytes;
  }
  void add(uint64_t bytes) {
    done_ += bytes;
    if (progress_) {
      progress_(what_, done_, total_);
    }
  }

 private:
  const char* what_;
  const ProgressCallback& progress_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

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

/// Returns the key of a cache entry, which depends on the contents of the files
/// but not on their paths.
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
  ByteCount count("looking for the tokens in the cache", progress);
  bool any_records = false;
  for (const fs::path& file : files) {
    count.expect(fs::file_size(file));
  }
  for (const fs::path& file : files) {
    const FileFormat format = file_format(file);
    any_records |= format.is_json();
    add(format.is_json() ? 1 : 0);
    add(static_cast<uint64_t>(format.compression));
    add(fs::file_size(file));
    add(io::hash_file(file, [&](uint64_t bytes) { count.add(bytes); }));
  }
  if (any_records) {
    add(options.format->digest());
    add(static_cast<uint64_t>(options.seq_len)); // examples are truncated
    add(static_cast<uint64_t>(options.too_long));
  }
  return fmt::format("{:016x}{:016x}", a, b);
}

/// Returns the number of bytes per token in the cache.
size_t token_width(const Vocabulary& vocabulary) {
  return vocabulary.size() <= 0x100 ? 1 : vocabulary.size() <= 0x10000 ? 2 : 4;
}

/// Returns the offset of the first byte that is not text, or npos.
size_t find_non_text(std::string_view text) {
  return std::min(unicode::find_invalid(text), text.find('\0'));
}

/// Tokenizes files into the files of a cache entry.
class Tokenizing {
 public:
  Tokenizing(
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
        tokens_(fs::path(entry) += ".tokens"),
        loss_mask_(fs::path(entry) += ".trained"),
        documents_(fs::path(entry) += ".documents") {
    size_t threads = options.threads > 0
        ? static_cast<size_t>(options.threads)
        : std::max(1U, std::thread::hardware_concurrency());
    for (size_t i = 0; i < threads; ++i) {
      encoders_.emplace_back(options.vocabulary);
    }
  }

  void run(const std::vector<fs::path>& files) {
    for (const fs::path& path : files) {
      read_.expect(fs::file_size(path));
    }
    for (const fs::path& path : files) {
      for_each_piece(open(path), [&](const DataPiece& piece) {
        batch_.push_back(piece);
        batch_bytes_ += piece.text.size();
        if (batch_bytes_ >= kBatchBytes) {
          work();
        }
      });
    }
    work();
    documents_.commit();
    loss_mask_.commit();
    tokens_.commit();
  }

  ExampleKind kind() const {
    return kind_.value_or(ExampleKind::kText);
  }
  const CorpusCounts& counts() const {
    return counts_;
  }

 private:
  std::shared_ptr<const DataFile> open(const fs::path& path) {
    ByteCount count("decompressing", progress_);
    count.expect(fs::file_size(path));
    auto file = open_data_file(
        path, options_.cache, [&](uint64_t bytes) { count.add(bytes); });
    if (file->map.bytes().size() > fs::file_size(path)) { // it was decompressed
      read_.expect(file->map.bytes().size() - fs::file_size(path));
    }
    return file;
  }

  /// Tokenizes the batch in parallel, then stores the results in order.
  void work() {
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

  Example tokenize(const DataPiece& piece, Vocabulary::Encoder& encoder) const {
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

  void store(const DataPiece& piece, const Example& example) {
    std::string problem = example.problem;
    if (problem.empty() && kind_ && *kind_ != example.kind) {
      problem =
          "is of another kind than the records before it: text, "
          "conversations and preferences can't be mixed";
    }
    if (!problem.empty()) {
      if (!options_.skip_bad_lines || !piece.is_record) {
        auto [line, column] =
            position_of(piece, example.problem_offset.value_or(0));
        throw DataError(fmt::format(
            "[data] line {} of {}{}: {}. Fix the line or pass "
            "--skip-bad-lines.",
            line,
            piece.file->path.string(),
            example.problem_offset ? fmt::format(", column {}", column) : "",
            problem));
      }
      ++counts_.bad_lines;
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
  }

  const CorpusOptions& options_;
  const ProgressCallback& progress_;
  ByteCount read_;
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

Corpus Corpus::open(
    const CorpusOptions& given,
    const ProgressCallback& progress) {
  CorpusOptions options = given;
  std::optional<ChatFormat> suggested;
  if (options.format == nullptr) {
    options.format = &suggested.emplace(options.vocabulary, "", ChatOptions{});
  }
  auto [files, left_out] = list_data_files(options.paths);
  Corpus corpus;
  corpus.left_out_ = std::move(left_out);
  std::vector<FileStamp> stamps(files.size());
  std::transform(files.begin(), files.end(), stamps.begin(), stamp_of);
  fs::path entry = options.cache / cache_key(files, options, progress);
  auto part = [&](const char* suffix) { return fs::path(entry) += suffix; };
  // The .json file is written last: if it exists, the entry is complete.
  if (!fs::exists(part(".json"))) {
    io::make_directory(options.cache);
    Tokenizing work(options, entry, progress);
    work.run(files);
    check_unchanged(files, stamps);
    io::OrderedJson note;
    std::string digest;
    note["kind"] = static_cast<int>(work.kind());
    note["bad_lines"] = work.counts().bad_lines;
    note["cut"] = work.counts().truncated;
    note["whole_tokens"] = work.counts().whole_tokens;
    note["cut_tokens"] = work.counts().removed_tokens;
    note["dropped"] = work.counts().dropped;
    for (const char* suffix : {".tokens", ".trained", ".documents"}) {
      digest += io::to_text(io::digest_file(part(suffix))) + " ";
    }
    note["digest"] = digest;
    for (const fs::path& file : files) {
      note["files"].push_back(fs::absolute(file).string());
    }
    io::write_file(part(".json"), note.dump(2) + "\n");
  }
  io::Json note = io::read_json(part(".json"));
  corpus.kind_ = static_cast<ExampleKind>(note.value("kind", 0));
  corpus.counts_ = {
      note.value("bad_lines", uint64_t{0}),
      note.value("cut", uint64_t{0}),
      note.value("whole_tokens", uint64_t{0}),
      note.value("cut_tokens", uint64_t{0}),
      note.value("dropped", uint64_t{0})};
  corpus.digest_ = note.value("digest", "");
  corpus.width_ = token_width(options.vocabulary);
  corpus.tokens_ = io::MappedFile(part(".tokens"));
  corpus.loss_mask_ = io::MappedFile(part(".trained"));
  corpus.documents_ = io::MappedFile(part(".documents"));
  uint64_t documents = corpus.num_documents();
  if (documents == 0) {
    throw DataError(fmt::format(
        "[data] {} holds nothing to train on ({} bad lines skipped, {} "
        "examples dropped).",
        files.front().string(),
        corpus.counts_.bad_lines,
        corpus.counts_.dropped));
  }
  if (corpus.document_end(documents - 1) != corpus.num_tokens()) {
    throw DataError(fmt::format(
        "[data] the cached tokens {} are damaged. Remove that file; the "
        "tokens will be cached again.",
        part(".json").string()));
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
