// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/scanner.h"

// Text, raw blocks, comments and the begins and ends of tags.

namespace accrue::jinja {
namespace {

using Kind = Token::Kind;

/// Returns the source with "\n" for every end of a line, but without one at the
/// end of the template.
std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  return text;
}

} // namespace

Scanner::Scanner(std::string_view source)
    : source_(normalize_newlines(source)) {}

std::vector<Token> Scanner::run() {
  while (i_ < source_.size()) {
    read_data();
  }
  add(Kind::kEnd);
  return std::move(tokens_);
}

int Scanner::line_at(size_t offset) {
  for (; counted_ < offset; ++counted_) {
    line_ += source_[counted_] == '\n' ? 1 : 0;
  }
  return line_;
}

void Scanner::read_data() {
  size_t begin = i_;
  size_t tag = find_tag(begin);
  std::string_view data(source_.data() + begin, tag - begin);
  if (tag == source_.size()) {
    add_data(data);
    i_ = tag;
    return;
  }
  const char kind = source_[tag + 1];
  const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
  add_data(strip_before_tag(data, kind, sign));
  i_ = tag;
  if (kind == '%' && take_raw_tag("raw")) {
    read_raw();
  } else if (kind == '#') {
    read_comment();
  } else {
    read_tag(kind == '{');
  }
  line_starting_ = source_[i_ - 1] == '\n';
}

size_t Scanner::find_tag(size_t from) const {
  for (size_t i = source_.find('{', from); i != std::string::npos;
       i = source_.find('{', i + 1)) {
    char next = i + 1 < source_.size() ? source_[i + 1] : '\0';
    if (next == '{' || next == '%' || next == '#') {
      return i;
    }
  }
  return source_.size();
}

std::string_view Scanner::strip_before_tag(
    std::string_view data,
    char kind,
    char sign) const {
  if (sign == '-') {
    return strip_right(data);
  }
  if (sign == '+' || kind == '{') {
    return data;
  }
  size_t line = data.rfind('\n') + 1; // 0 if there is none
  bool only_space = strip_left(data.substr(line)).empty();
  return (line > 0 || line_starting_) && only_space ? data.substr(0, line)
                                                    : data;
}

bool Scanner::take_raw_tag(std::string_view name) {
  size_t begin = i_;
  i_ += 2;
  if (starts("-") || starts("+")) {
    ++i_;
  }
  skip_space();
  if (take(name)) {
    skip_space();
    const bool ends =
        name == "raw" ? take("%}") || take_stripping("-%}") : take_block_end();
    if (ends) {
      return true;
    }
  }
  i_ = begin;
  return false;
}

bool Scanner::take_stripping(std::string_view text) {
  bool found = take(text);
  if (found) {
    skip_space();
  }
  return found;
}

bool Scanner::take_block_end() {
  if (take("+%}") || take_stripping("-%}")) {
    return true;
  }
  if (take("%}")) {
    take("\n"); // trim_blocks
    return true;
  }
  return false;
}

void Scanner::read_raw() {
  // The text before the end tag is stripped like text before any tag.
  line_starting_ = source_[i_ - 1] == '\n';
  size_t begin = i_;
  for (size_t tag = source_.find("{%", i_); tag != std::string::npos;
       tag = source_.find("{%", tag + 2)) {
    char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    i_ = tag;
    if (take_raw_tag("endraw")) {
      std::string_view data(source_.data() + begin, tag - begin);
      size_t end = i_;
      i_ = begin;
      add_data(strip_before_tag(data, '%', sign));
      i_ = end;
      return;
    }
  }
  i_ = begin;
  if (begin < source_.size()) { // Jinja accepts an empty one
    fail("the raw block is not closed");
  }
}

void Scanner::read_comment() {
  const size_t tag = i_;
  i_ += 2;
  if (starts("-") || starts("+")) {
    ++i_;
  }
  const size_t begin = i_;
  const size_t end = source_.find("#}", begin);
  if (end == std::string::npos) {
    i_ = tag;
    fail("the comment is not closed");
  }
  const char sign = end > begin ? source_[end - 1] : '\0';
  i_ = end + 2;
  if (sign == '-') {
    skip_space();
  } else if (sign != '+') {
    take("\n"); // trim_blocks
  }
}

void Scanner::read_tag(bool is_output) {
  add(is_output ? Kind::kOutputBegin : Kind::kBlockBegin);
  i_ += 2;
  if (starts("-") || starts("+")) {
    ++i_;
  }
  std::string open; // closing brackets that are still to come
  while (i_ < source_.size()) {
    size_t begin = i_;
    if (open.empty()) {
      bool ends =
          is_output ? take_stripping("-}}") || take("}}") : take_block_end();
      if (ends) {
        std::swap(i_, begin);
        add(is_output ? Kind::kOutputEnd : Kind::kBlockEnd);
        i_ = begin;
        return;
      }
    }
    skip_space();
    if (i_ == begin) {
      read_token(open);
    }
  }
}

} // namespace accrue::jinja
