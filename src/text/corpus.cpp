#include "text/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "io/json.h"
#include "text/bytes.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kFormat = 1; // part of the cache key
constexpr size_t kBlockBytes = size_t{4} << 20;

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(
      extension.begin(), extension.end(), extension.begin(), [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      });
  return extension;
}

bool is_json_lines(const fs::path& path) {
  std::string extension = lower_extension(path);
  return extension == ".jsonl" || extension == ".ndjson" ||
      extension == ".json";
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

std::vector<fs::path> list_files(const std::vector<std::string>& paths) {
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

std::string cache_key(const std::vector<fs::path>& files, bool skip_bad_lines) {
  uint64_t a = mix(kFormat, skip_bad_lines ? 1 : 0);
  uint64_t b = ~a;
  auto add = [&](uint64_t word) {
    a = mix(a, word);
    b = mix(b, ~word);
  };
  for (const fs::path& file : files) {
    for (char c : fs::absolute(file).string()) {
      add(static_cast<unsigned char>(c));
    }
    add(fs::file_size(file));
    add(static_cast<uint64_t>(
        fs::last_write_time(file).time_since_epoch().count()));
  }
  return fmt::format("{:016x}{:016x}", a, b);
}

/// True for a byte that continues a UTF-8 character.
bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// Length in bytes of the valid character at the start of `text`, 0 if there
/// is none. Unicode 15, table 3-7.
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  auto follows = [&](size_t i) {
    return i < text.size() && continues(text[i]);
  };
  unsigned first = byte(0);
  unsigned second = byte(1);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return follows(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    bool overlong = first == 0xE0 && second < 0xA0;
    bool surrogate = first == 0xED && second >= 0xA0;
    return !overlong && !surrogate && follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    bool overlong = first == 0xF0 && second < 0x90;
    bool beyond = first == 0xF4 && second >= 0x90;
    bool rest = follows(1) && follows(2) && follows(3);
    return !overlong && !beyond && rest ? 4 : 0;
  }
  return 0;
}

/// Offset of the first byte that is not text, or npos.
size_t find_non_text(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    size_t length = text[i] == '\0' ? 0 : utf8_length(text.substr(i));
    if (length == 0) {
      return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

/// Tokenizes files into the two files of a cache entry.
class Tokenizing {
 public:
  Tokenizing(
      const CorpusOptions& options,
      const fs::path& tokens,
      const fs::path& documents,
      const CorpusProgress& progress)
      : options_(options),
        progress_(progress),
        tokens_(tokens),
        documents_(documents) {}

  void run(const std::vector<fs::path>& files) {
    for (const fs::path& file : files) {
      total_bytes_ += fs::file_size(file);
    }
    for (const fs::path& path : files) {
      read_file(path);
    }
    documents_.commit();
    tokens_.commit();
  }

  uint64_t skipped_lines() const {
    return skipped_lines_;
  }

 private:
  void read_file(const fs::path& path) {
    file_ = io::MappedFile(path);
    std::string_view text(
        reinterpret_cast<const char*>(file_.bytes().data()),
        file_.bytes().size());
    if (text.empty()) {
      throw DataError(fmt::format(
          "[data] {} is empty. Remove it or restore its contents.",
          path.string()));
    }
    if (is_json_lines(path)) {
      read_lines(path, text);
    } else {
      read_text(path, text);
    }
  }

  void read_text(const fs::path& path, std::string_view text) {
    for (size_t begin = 0; begin < text.size();) {
      size_t end = std::min(begin + kBlockBytes, text.size());
      while (end < text.size() && end > begin + 1 && continues(text[end])) {
        --end; // don't cut a character
      }
      std::string_view block = text.substr(begin, end - begin);
      size_t bad = find_non_text(block);
      if (bad != std::string_view::npos) {
        throw DataError(fmt::format(
            "[data] {} is not UTF-8 text: byte {} is 0x{:02x}. It is binary, "
            "truncated or in another encoding (convert it with iconv).",
            path.string(),
            begin + bad,
            static_cast<unsigned char>(block[bad])));
      }
      add(block);
      advance(block.size());
      begin = end;
    }
    end_document();
  }

  void read_lines(const fs::path& path, std::string_view text) {
    uint64_t line_number = 0;
    while (!text.empty()) {
      ++line_number;
      size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      size_t taken = std::min(end + 1, text.size());
      text.remove_prefix(taken);
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
        read_line(path, line_number, line);
      }
      advance(taken);
    }
  }

  void read_line(
      const fs::path& path,
      uint64_t line_number,
      std::string_view line) {
    io::Json json = io::Json::parse(line, nullptr, /*exceptions=*/false);
    std::string problem;
    if (json.is_discarded()) {
      problem = "is not valid JSON";
    } else if (!json.is_object()) {
      problem = fmt::format("must be an object, got {}", io::type_name(json));
    } else if (!json.contains("text")) {
      problem = "has no \"text\"";
    } else if (!json["text"].is_string()) {
      problem = fmt::format(
          "\"text\" must be a string, got {}", io::type_name(json["text"]));
    } else if (const auto& text = json["text"].get_ref<std::string&>();
               text.find('\0') != std::string::npos) {
      problem = "\"text\" contains a NUL character";
    } else if (!text.empty()) {
      add(text);
      end_document();
    }
    if (problem.empty()) {
      return;
    }
    if (!options_.skip_bad_lines) {
      throw DataError(fmt::format(
          "[data] line {} of {}: {}. Fix the line or pass "
          "--skip-bad-lines.",
          line_number,
          path.string(),
          problem));
    }
    ++skipped_lines_;
  }

  void add(std::string_view text) {
    tokens_.write(text); // a byte is its own token
    num_tokens_ += text.size();
  }

  void end_document() {
    constexpr char separator = ByteVocabulary::kSeparator;
    add({&separator, 1});
    documents_.write(std::as_bytes(std::span(&num_tokens_, 1)));
  }

  void advance(uint64_t bytes) {
    done_bytes_ += bytes;
    if (done_bytes_ >= next_report_) {
      next_report_ = done_bytes_ + kBlockBytes;
      file_.release_pages();
      if (progress_) {
        progress_(done_bytes_, total_bytes_);
      }
    }
  }

  const CorpusOptions& options_;
  const CorpusProgress& progress_;
  io::FileWriter tokens_;
  io::FileWriter documents_;
  io::MappedFile file_; // being read
  uint64_t num_tokens_ = 0;
  uint64_t skipped_lines_ = 0;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  uint64_t next_report_ = kBlockBytes;
};

} // namespace

Corpus Corpus::open(
    const CorpusOptions& options,
    const CorpusProgress& progress) {
  std::vector<fs::path> files = list_files(options.paths);
  fs::path entry = options.cache / cache_key(files, options.skip_bad_lines);
  auto part = [&](const char* suffix) { return fs::path(entry) += suffix; };
  // The note is written last: where it is, the entry is whole.
  if (!fs::exists(part(".json"))) {
    io::make_directory(options.cache);
    Tokenizing work(options, part(".tokens"), part(".documents"), progress);
    work.run(files);
    io::OrderedJson note;
    note["skipped_lines"] = work.skipped_lines();
    for (const fs::path& file : files) {
      note["files"].push_back(fs::absolute(file).string());
    }
    io::write_file(part(".json"), note.dump(2) + "\n");
  }
  Corpus corpus;
  corpus.tokens_ = io::MappedFile(part(".tokens"));
  corpus.documents_ = io::MappedFile(part(".documents"));
  corpus.skipped_lines_ =
      io::read_json(part(".json")).value("skipped_lines", uint64_t{0});
  uint64_t documents = corpus.num_documents();
  if (documents == 0) {
    throw DataError(fmt::format(
        "[data] {} holds no document with text ({} bad lines skipped).",
        files.front().string(),
        corpus.skipped_lines_));
  }
  if (corpus.document_end(documents - 1) != corpus.num_tokens()) {
    throw DataError(fmt::format(
        "[data] the cached tokens {} are damaged. Remove that file; it "
        "will be made again.",
        part(".json").string()));
  }
  return corpus;
}

std::vector<int64_t> Corpus::tokens(uint64_t begin, uint64_t end) const {
  std::vector<int64_t> tokens;
  tokens.reserve(end - begin);
  for (std::byte token : tokens_.bytes().subspan(begin, end - begin)) {
    tokens.push_back(static_cast<int64_t>(token));
  }
  tokens_.release_pages();
  return tokens;
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
