// SPDX-License-Identifier: Apache-2.0
#include "io/json_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace accrue::io {
namespace {

/// Iterator that also records how far a text has been read. The parser gives
/// its handler a position only for malformed text; the handler needs one for
/// errors of its own.
class WatchedIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  WatchedIterator(const char* at, const char*& furthest)
      : at_(at), furthest_(&furthest) {}

  reference operator*() const {
    return *at_;
  }
  WatchedIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  bool operator==(const WatchedIterator& other) const {
    return at_ == other.at_;
  }
  bool operator!=(const WatchedIterator& other) const {
    return at_ != other.at_;
  }

 private:
  const char* at_;
  const char** furthest_;
};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// Returns what is wrong at `offset`, in words that say what to do where the
/// parser's message, `reason`, does not.
std::string explain(
    std::string_view text,
    size_t offset,
    std::string_view reason) {
  std::string_view here = text.substr(std::min(offset, text.size()));
  std::string_view before = text.substr(0, offset);
  before = before.substr(0, before.find_last_not_of(" \t\r\n") + 1);
  if (has(reason, "ill-formed UTF-8")) {
    return "a byte that is not UTF-8 text; convert the file with iconv";
  }
  if (has(reason, "surrogate")) {
    return "\\u escape that is half of a surrogate pair; write both halves, or "
           "the character itself";
  }
  if (has(reason, "missing closing quote")) {
    return "it ends within a string: it is cut short, or a quote or line break "
           "in the string is not escaped";
  }
  if (here.empty()) {
    return "it ends too early: it is cut short, or a bracket is not closed";
  }
  if (here.starts_with("NaN") || here.starts_with("Infinity")) {
    return "NaN and Infinity are not JSON values; write null";
  }
  if (here.starts_with("None") || here.starts_with("True") ||
      here.starts_with("False")) {
    return "None, True and False are Python's; write null, true, false";
  }
  if (here.starts_with('\'') && has(reason, "invalid literal")) {
    return "a single quote; strings and keys need double quotes";
  }
  if ((here[0] == '}' || here[0] == ']') && before.ends_with(',')) {
    return "a comma before a closing bracket; remove it";
  }
  if (has(reason, "expected end of input")) {
    return "more follows where it should end; a comma or a line break is "
           "missing";
  }
  // "[json.exception.…] parse error at …: syntax error … - WHAT; last read: …"
  size_t begin = reason.rfind(" - ");
  reason.remove_prefix(
      begin != std::string_view::npos ? begin + 3 : reason.find("] ") + 2);
  return std::string(reason.substr(0, reason.find("; last read")));
}

/// Builds a value from the parser's events.
class Builder {
 public:
  Builder(std::string_view text, const char*& furthest)
      : text_(text), furthest_(furthest) {}

  OrderedJson take() {
    return std::move(root_);
  }

  bool null() {
    add(nullptr);
    return true;
  }
  bool boolean(bool value) {
    add(value);
    return true;
  }
  bool number_integer(int64_t value) {
    add(value);
    return true;
  }
  bool number_unsigned(uint64_t value) {
    add(value);
    return true;
  }
  bool number_float(double value, const std::string& /*text*/) {
    add(value);
    return true;
  }
  bool string(std::string& value) {
    add(std::move(value));
    return true;
  }
  bool binary(OrderedJson::binary_t& /*value*/) {
    return false; // not in JSON text
  }
  bool start_object(size_t /*size*/) {
    open(OrderedJson::object());
    return true;
  }
  bool start_array(size_t /*size*/) {
    open(OrderedJson::array());
    return true;
  }
  bool end_object() {
    open_.pop_back();
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool key(std::string& key) {
    auto& object = open_.back()->get_ref<OrderedJson::object_t&>();
    auto [place, is_new] = object.emplace(key, nullptr);
    if (!is_new) {
      throw JsonError(
          fmt::format(
              "the key \"{}\" stands twice in one object; remove one",
              place->first),
          here());
    }
    value_ = &place->second;
    return true;
  }

  bool parse_error(
      size_t position, // bytes read, including the wrong one
      const std::string& /*last_token*/,
      const OrderedJson::exception& error) {
    size_t offset = std::min(position - 1, text_.size());
    throw JsonError(explain(text_, offset, error.what()), offset);
  }

 private:
  /// Offset of the last byte read.
  size_t here() const {
    return static_cast<size_t>(furthest_ - text_.data()) - 1;
  }

  OrderedJson& add(OrderedJson value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return open_.back()->back();
    }
    *value_ = std::move(value);
    return *value_;
  }

  void open(OrderedJson container) {
    if (open_.size() == kDeepestJson) {
      throw JsonError(
          fmt::format("more than {} levels of nesting", kDeepestJson), here());
    }
    open_.push_back(&add(std::move(container)));
  }

  std::string_view text_;
  const char*& furthest_;
  OrderedJson root_;
  std::vector<OrderedJson*> open_; // containers, outermost first
  OrderedJson* value_ = nullptr; // value of the key read last
};

} // namespace

OrderedJson parse_json(std::string_view text) {
  const char* furthest = text.data();
  Builder builder(text, furthest);
  OrderedJson::sax_parse(
      WatchedIterator(text.data(), furthest),
      WatchedIterator(text.data() + text.size(), furthest),
      &builder);
  return builder.take();
}

} // namespace accrue::io
