// SPDX-License-Identifier: Apache-2.0
#include "text/json_splitter.h"

#include <algorithm>

#include "io/json_parser.h"

namespace accrue {
namespace {

/// Follows strings and brackets through a JSON text.
class Nesting {
 public:
  void take(char c) {
    if (in_string_) {
      // A line break ends any string, so that a missing or surplus quote only
      // affects its own line.
      in_string_ = (escaped_ || c != '"') && c != '\n';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0) {
      --depth_;
    }
  }
  bool in_string() const {
    return in_string_;
  }
  /// Whether the text is outside of strings and brackets.
  bool outside() const {
    return depth_ == 0 && !in_string_;
  }

 private:
  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

[[noreturn]] void fail_split(const char* what, size_t offset) {
  throw io::JsonError(what, offset);
}

} // namespace

JsonSplitter::JsonSplitter(std::string_view text) : text_(text) {
  skip_space();
  if (at_ < text_.size() && text_[at_] == '[') {
    layout_ = Layout::kArray;
    ++at_;
  } else if (first_record_spans_lines()) {
    layout_ = Layout::kEndToEnd;
  }
}

std::optional<std::string_view> JsonSplitter::next() {
  skip_space();
  switch (layout_) {
    case Layout::kArray:
      return next_element();
    case Layout::kEndToEnd:
      return next_end_to_end();
    default:
      return next_line();
  }
}

std::optional<std::string_view> JsonSplitter::next_line() {
  if (at_ == text_.size()) {
    return std::nullopt;
  }
  return take_until(std::min(text_.find('\n', at_), text_.size()));
}

std::optional<std::string_view> JsonSplitter::next_element() {
  if (closed_) {
    return std::nullopt;
  }
  const size_t begin = at_;
  Nesting nesting;
  while (at_ < text_.size() &&
         !(nesting.outside() && (text_[at_] == ',' || text_[at_] == ']'))) {
    nesting.take(text_[at_++]);
  }
  if (at_ == text_.size()) {
    fail_split(
        "the array has no end: the file is cut short, or a bracket is not "
        "closed",
        begin);
  }
  const bool last = text_[at_] == ']';
  const size_t end = at_;
  at_ = begin;
  std::string_view record = take_until(end);
  at_ = end + 1;
  if (record.empty() && (!last || after_comma_)) {
    fail_split("a comma without a record beside it; remove it", end);
  }
  after_comma_ = !last;
  closed_ = last;
  skip_space();
  if (last && at_ < text_.size()) {
    fail_split("more follows after the end of the array", at_);
  }
  return record.empty() ? std::nullopt : std::optional(record);
}

std::optional<std::string_view> JsonSplitter::next_end_to_end() {
  if (at_ == text_.size()) {
    return std::nullopt;
  }
  Nesting nesting;
  for (size_t i = at_; i < text_.size(); ++i) {
    const char c = text_[i];
    nesting.take(c);
    if (nesting.outside() && (c == '}' || c == ']' || c == '\n')) {
      return take_until(i + 1);
    }
  }
  if (!nesting.outside()) {
    fail_split(
        "a record has no end: the file is cut short, or a quote or bracket is "
        "not closed",
        at_);
  }
  return take_until(text_.size());
}

bool JsonSplitter::first_record_spans_lines() const {
  Nesting nesting;
  bool lines = false;
  for (char c : text_.substr(at_, kMaxRecordBytes)) {
    if (c == '\n') {
      if (nesting.in_string() || nesting.outside()) {
        return false;
      }
      lines = true;
    }
    nesting.take(c);
    if (nesting.outside() && (c == '}' || c == ']')) {
      return lines;
    }
  }
  return false;
}

void JsonSplitter::skip_space() {
  at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
}

std::string_view JsonSplitter::take_until(size_t end) {
  std::string_view record = text_.substr(at_, end - at_);
  if (record.size() > kMaxRecordBytes) {
    fail_split("a record of more than 256 MiB; split it into several", at_);
  }
  at_ = end;
  return record.substr(0, record.find_last_not_of(" \t\r\n") + 1);
}

} // namespace accrue
