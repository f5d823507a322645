// SPDX-License-Identifier: Apache-2.0
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

/// A format that is not read, and how to convert it: either a reader of pandas
/// or a sentence, in which {in} is the file and {out} the same with .jsonl.
struct ForeignFormat {
  std::string_view extension;
  std::string_view magic; // first bytes, if they identify the format
  std::string_view name;
  std::string_view pandas;
  std::string_view remedy;
};

constexpr std::string_view kExcel = "read_excel(sys.argv[1])";
constexpr std::string_view kUntar =
    "Unpack it with tar -xf and name the resulting folder.";

constexpr ForeignFormat kForeignFormats[]{
    {".csv", "", "a table", "read_csv(sys.argv[1])", ""},
    {".tsv", "", "a table", "read_csv(sys.argv[1], sep='\\t')", ""},
    {".parquet", "PAR1", "a Parquet table", "read_parquet(sys.argv[1])", ""},
    {".arrow",
     "ARROW1",
     "an Arrow table",
     "",
     "Convert it: python3 -c \"import datasets, sys; "
     "datasets.Dataset.from_file(sys.argv[1]).to_json(sys.argv[2])\" {in} "
     "{out}"},
    {".feather", "", "an Arrow table", "read_feather(sys.argv[1])", ""},
    {".orc", "", "an ORC table", "read_orc(sys.argv[1])", ""},
    {".xlsx", "", "an Excel table", kExcel, ""},
    {".xls", "\xD0\xCF\x11\xE0", "an Excel table", kExcel, ""},
    {".ods", "", "a spreadsheet", kExcel, ""},
    {".zip",
     "PK\x03\x04",
     "a zip archive",
     "",
     "Unpack it with unzip and name the resulting folder."},
    {".tar", "", "a tar archive", "", kUntar},
    {".tgz", "", "a tar archive", "", kUntar},
    {"", // its extension is read
     "\x1F\x8B",
     "gzip data",
     "",
     "Give it the name that says so: mv {in} {in}.gz"},
    {"",
     "\x28\xB5\x2F\xFD",
     "zstd data",
     "",
     "Give it the name that says so: mv {in} {in}.zst"},
    {".xz", "\xFD\x37zXZ", "xz data", "", "Decompress it: xz -dk {in}"},
    {".bz2", "BZh", "bzip2 data", "", "Decompress it: bzip2 -dk {in}"},
};

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(
      extension.begin(), extension.end(), extension.begin(), [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      });
  return extension;
}

/// Quotes a text for the command line of a shell.
std::string quoted(const std::string& text) {
  constexpr std::string_view kPlainOnly =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
  if (text.find_first_not_of(kPlainOnly) == std::string::npos) {
    return text;
  }
  std::string word = "'";
  for (char c : text) {
    word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return word + "'";
}

std::string refusal(const fs::path& path, const ForeignFormat& format) {
  fs::path out = path;
  if (file_format(path).compression != Compression::kNone) {
    out.replace_extension();
  }
  out.replace_extension(".jsonl");
  std::string text = fmt::format("{} is {}. ", path.string(), format.name);
  if (!format.pandas.empty()) {
    return text +
        fmt::format(
               "Convert it: python3 -c \"import pandas, sys; pandas.{}"
               ".to_json(sys.argv[2], orient='records', lines=True)\" {} {}",
               format.pandas,
               quoted(path.string()),
               quoted(out.string()));
  }
  return text +
      fmt::format(
             fmt::runtime(format.remedy),
             fmt::arg("in", quoted(path.string())),
             fmt::arg("out", quoted(out.string())));
}

/// Returns the format that the name tells; nullptr if it is not one of the
/// table.
const ForeignFormat* foreign_by_name(const fs::path& path) {
  const std::string extension = file_format(path).extension;
  for (const ForeignFormat& format : kForeignFormats) {
    if (!extension.empty() && format.extension == extension) {
      return &format;
    }
  }
  return nullptr;
}

/// Returns the name under which a file that is not read is counted.
std::string group_of(const fs::directory_entry& entry) {
  if (entry.is_directory()) {
    return "linked folder";
  }
  if (!entry.is_regular_file()) {
    return "special file";
  }
  std::string extension = lower_extension(entry.path());
  if (file_format(entry.path()).compression != Compression::kNone) {
    extension = file_format(entry.path()).extension + extension;
  }
  return extension.empty() ? "without extension" : extension;
}

/// "2 .csv, 1 .md"
std::string list(const LeftOut& left_out) {
  std::string text;
  for (const auto& [extension, count] : left_out) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, extension);
  }
  return text;
}

void add_folder(const fs::path& folder, DataFiles& files) {
  DataFiles found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    FileFormat format = file_format(entry.path());
    if (entry.is_directory() && !entry.is_symlink()) {
      continue; // its files are visited, too
    }
    if (entry.is_regular_file() &&
        (format.is_json() || format.extension == ".txt")) {
      found.paths.push_back(entry.path());
    } else {
      ++found.left_out[group_of(entry)];
    }
  }
  if (found.paths.empty()) {
    throw DataError(fmt::format(
        "[data] the folder {} holds no .txt, .json, .jsonl or .ndjson file, "
        "plain or compressed (.gz, .zst). {}Name the files themselves if they "
        "end otherwise.",
        folder.string(),
        found.left_out.empty() ? "" : "It has " + list(found.left_out) + ". "));
  }
  std::sort(found.paths.begin(), found.paths.end());
  files.paths.insert(files.paths.end(), found.paths.begin(), found.paths.end());
  for (const auto& [extension, count] : found.left_out) {
    files.left_out[extension] += count;
  }
}

/// Returns whether a file that begins with `start` is text. `start` may end
/// within a character.
bool is_text(std::string_view start) {
  size_t bad = unicode::find_invalid(start);
  return start.find('\0') == std::string_view::npos &&
      (bad == std::string_view::npos || start.size() - bad < 4);
}

/// Returns the name that iconv has for the encoding of UTF-16 or UTF-32 text;
/// empty for other text. UTF-16 without a byte order mark is recognized by the
/// zeros beside Latin letters.
std::string_view wide_encoding(std::string_view text) {
  using namespace std::string_view_literals;
  if (text.starts_with("\xFF\xFE\0\0"sv) ||
      text.starts_with("\0\0\xFE\xFF"sv)) {
    return "UTF-32";
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return "UTF-16";
  }
  const size_t pairs = std::min<size_t>(text.size(), 256) / 2;
  size_t little = 0;
  size_t big = 0;
  for (size_t i = 0; i < pairs; ++i) {
    big += text[2 * i] == '\0' && text[2 * i + 1] != '\0' ? 1 : 0;
    little += text[2 * i] != '\0' && text[2 * i + 1] == '\0' ? 1 : 0;
  }
  return 2 * little > pairs ? "UTF-16LE" : 2 * big > pairs ? "UTF-16BE" : "";
}

} // namespace

bool FileFormat::is_json() const {
  return extension == ".jsonl" || extension == ".ndjson" ||
      extension == ".json";
}

FileFormat file_format(const fs::path& path) {
  FileFormat format{.extension = lower_extension(path)};
  if (format.extension == ".gz" || format.extension == ".zst") {
    format.compression =
        format.extension == ".gz" ? Compression::kGzip : Compression::kZstd;
    format.extension = lower_extension(path.stem());
  }
  return format;
}

std::string left_out_line(const LeftOut& left_out) {
  return "left out     " + list(left_out) +
      " (kinds of files that are not read)";
}

DataFiles list_data_files(const std::vector<std::string>& paths) {
  DataFiles files;
  Problems problems;
  for (const fs::path path : paths) {
    std::error_code code;
    auto status = fs::status(path, code);
    const ForeignFormat* foreign = foreign_by_name(path);
    if (fs::is_directory(status)) {
      add_folder(path, files);
    } else if (!fs::is_regular_file(status)) {
      problems.add(fmt::format(
          "{} {}. Check the path given to --data or --valid.",
          path.string(),
          fs::exists(status) ? "is neither a file nor a folder"
                             : "does not exist"));
    } else if (foreign != nullptr) {
      problems.add(refusal(path, *foreign));
    } else {
      files.paths.push_back(path);
    }
  }
  problems.throw_if_any<DataError>("data");
  return files;
}

void check_contents(const fs::path& path, std::string_view contents) {
  std::string_view start = contents.substr(0, 4096);
  for (const ForeignFormat& format : kForeignFormats) {
    if (format.magic.empty() || !start.starts_with(format.magic) ||
        is_text(start)) { // text may begin with the same letters
      continue;
    }
    if (file_format(path).compression != Compression::kNone) {
      throw DataError(fmt::format(
          "[data] {} holds {}. Decompress it and name the resulting file.",
          path.string(),
          format.name));
    }
    throw DataError("[data] " + refusal(path, format));
  }
  std::string_view encoding = wide_encoding(start);
  if (!encoding.empty()) {
    fs::path out = path;
    out.replace_extension(".utf8" + path.extension().string());
    throw DataError(fmt::format(
        "[data] {} is {} text. Convert it: iconv -f {} -t UTF-8 {} > {}",
        path.string(),
        encoding,
        encoding,
        quoted(path.string()),
        quoted(out.string())));
  }
}

} // namespace accrue
