// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace accrue::jinja {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
}

/// Reads the digits at the start of `text` and removes them.
int64_t read_digits(std::string_view& text) {
  int64_t number = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    number = std::min<int64_t>(number * 10 + (text[0] - '0'), INT32_MAX);
    text.remove_prefix(1);
  }
  return number;
}

FormatSpec parse_spec(std::string_view text) {
  constexpr std::string_view kAlignments = "<>^=";
  FormatSpec spec;
  auto take = [&](char wanted) {
    bool found = text.starts_with(wanted);
    text.remove_prefix(found ? 1 : 0);
    return found;
  };
  if (!text.empty()) {
    size_t length = unicode::first_character(text).length;
    if (length < text.size() &&
        kAlignments.find(text[length]) != std::string_view::npos) {
      spec.fill = text.substr(0, length);
      spec.alignment = text[length];
      text.remove_prefix(length + 1);
    } else if (kAlignments.find(text[0]) != std::string_view::npos) {
      spec.alignment = text[0];
      text.remove_prefix(1);
    }
  }
  if (text.starts_with('+') || text.starts_with('-') || text.starts_with(' ')) {
    spec.sign = text[0];
    text.remove_prefix(1);
  }
  spec.alternate = take('#');
  spec.zeros = take('0');
  spec.width = read_digits(text);
  if (text.starts_with(',') || text.starts_with('_')) {
    spec.grouping = text[0];
    text.remove_prefix(1);
  }
  if (take('.')) {
    if (text.empty() || !is_digits(text.substr(0, 1))) {
      fail("format: the precision is missing");
    }
    spec.precision = read_digits(text);
  }
  if (text.size() == 1) {
    spec.type = text[0];
  } else if (!text.empty()) {
    fail(fmt::format("format: invalid specifier '{}'", text));
  }
  return spec;
}

/// Python's format().
std::string format_value(const Value& value, std::string_view text) {
  if (text.empty()) {
    return to_text(value);
  }
  if (!value.is_string() && !value.is_number()) {
    fail(fmt::format("format: '{}' takes no format", value.type_name()));
  }
  FormatSpec spec = parse_spec(text);
  if (value.is_string()) {
    if ((spec.type != 0 && spec.type != 's') || spec.grouping != 0 ||
        spec.alignment == '=' || spec.sign != '-' || spec.alternate) {
      fail(fmt::format("format: '{}' does not fit a string", text));
    }
    return format_text(value.text(), spec);
  }
  if (value.is_integral() && spec.precision && spec.type != 0 &&
      std::string_view("eEfFgG%").find(spec.type) == std::string_view::npos) {
    fail("format: an integer has no precision");
  }
  return format_number(value, spec);
}

/// Python's string.Formatter, with the restrictions of Jinja's sandbox.
class BraceFormatter {
 public:
  explicit BraceFormatter(const Arguments& arguments)
      : positional_(arguments.positional) {
    for (const auto& [name, value] : arguments.named) {
      named_.set(name, value);
    }
  }

  std::string run(std::string_view text, int levels) {
    if (levels == 0) {
      fail("format: fields within fields within fields");
    }
    std::string out;
    while (!text.empty()) {
      char c = text[0];
      text.remove_prefix(1);
      if ((c == '{' || c == '}') && text.starts_with(c)) {
        text.remove_prefix(1);
        out += c;
      } else if (c == '}') {
        fail("format: a single '}'");
      } else if (c == '{') {
        out += write_field(take_field(text), levels);
      } else {
        out += c;
      }
      check_length(out.size());
    }
    return out;
  }

 private:
  /// Removes a field, up to its closing brace, from the start of `text` and
  /// returns it.
  static std::string_view take_field(std::string_view& text) {
    int depth = 1;
    for (size_t i = 0; i < text.size(); ++i) {
      depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
      if (depth == 0) {
        std::string_view field = text.substr(0, i);
        text.remove_prefix(i + 1);
        return field;
      }
    }
    fail("format: a '{' is not closed");
  }

  std::string write_field(std::string_view field, int levels) {
    size_t end = 0; // end of the name: ":" or "!" outside of brackets
    for (bool bracket = false; end < field.size(); ++end) {
      bracket = (bracket || field[end] == '[') && field[end] != ']';
      if (!bracket && (field[end] == ':' || field[end] == '!')) {
        break;
      }
    }
    Value value = look_up(field.substr(0, end));
    field.remove_prefix(end);
    if (field.starts_with('!')) {
      if (field.size() < 2 || (field.size() > 2 && field[2] != ':')) {
        fail("format: a conversion is one character");
      }
      value = convert_value(value, field[1]);
      field.remove_prefix(2);
    }
    if (field.starts_with(':')) {
      field.remove_prefix(1);
    }
    return format_value(value, run(field, levels - 1));
  }

  static Value convert_value(const Value& value, char conversion) {
    switch (conversion) {
      case 's':
        return to_text(value);
      case 'r':
        return repr(value);
      case 'a':
        return repr_ascii(value);
      default:
        fail(fmt::format("format: unknown conversion '{}'", conversion));
    }
  }

  Value look_up(std::string_view path) {
    if (path.empty() || is_digits(path)) {
      return numbered_argument(path);
    }
    std::string_view first = path.substr(0, path.find_first_of(".["));
    path.remove_prefix(first.size());
    Value value = argument(first);
    while (!path.empty()) {
      char kind = path[0];
      path.remove_prefix(1);
      size_t end = kind == '.' ? std::min(path.find_first_of(".["), path.size())
                               : path.find(']');
      if ((kind != '.' && kind != '[') || end == std::string_view::npos ||
          end == 0) {
        fail("format: a field name is damaged");
      }
      std::string_view name = path.substr(0, end);
      path.remove_prefix(kind == '.' ? end : end + 1);
      if (kind == '.') {
        value = get_attribute(value, std::string(name));
      } else {
        value = get_item(
            value,
            is_digits(name) ? Value(read_digits(name))
                            : Value(std::string(name)));
      }
    }
    return value;
  }

  Value argument(std::string_view name) {
    if (is_digits(name)) {
      return positional_argument(static_cast<size_t>(read_digits(name)));
    }
    if (const Value* value = named_.find(std::string(name))) {
      return *value;
    }
    fail(fmt::format("format: no argument '{}'", name));
  }

  Value numbered_argument(std::string_view number) {
    const bool automatic = number.empty();
    if (numbering_.value_or(automatic) != automatic) {
      fail("format: numbered and unnumbered fields don't mix");
    }
    numbering_ = automatic;
    return positional_argument(
        static_cast<size_t>(automatic ? next_++ : read_digits(number)));
  }

  Value positional_argument(size_t i) const {
    if (i >= positional_.size()) {
      fail(fmt::format("format: no argument {}", i));
    }
    return positional_[i];
  }

  const std::vector<Value>& positional_;
  Dict named_;
  std::optional<bool> numbering_; // true: fields are like {}, false: like {0}
  int64_t next_ = 0;
};

} // namespace

std::string format_braces(std::string_view text, const Arguments& arguments) {
  return BraceFormatter(arguments).run(text, 3);
}

} // namespace accrue::jinja
