// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace accrue {

/// Splits JSON text into its records without parsing them. The text is one of:
///   - JSON lines: a record on every line that is not blank;
///   - an array of records, if it begins with a bracket;
///   - records one after another, if the first one has several lines.
/// A malformed record does not affect others as long as its brackets match.
class JsonSplitter {
 public:
  /// Size limit of a record, which is parsed in memory.
  static constexpr size_t kMaxRecordBytes = size_t{256} << 20;

  /// `text` must outlive the records.
  explicit JsonSplitter(std::string_view text);

  /// Returns the next record; nullopt after the last. Throws io::JsonError,
  /// with the offset in the text, if a record has no end or more than
  /// kMaxRecordBytes, or if the text between records is wrong.
  std::optional<std::string_view> next();

 private:
  enum class Layout { kLines, kArray, kEndToEnd };

  std::optional<std::string_view> next_line();
  std::optional<std::string_view> next_element();
  std::optional<std::string_view> next_end_to_end();
  bool first_record_spans_lines() const;
  void skip_space();
  std::string_view take_until(size_t end);

  std::string_view text_;
  size_t at_ = 0;
  Layout layout_ = Layout::kLines;
  bool after_comma_ = false; // the last record of an array had a comma
  bool closed_ = false;
};

} // namespace accrue
