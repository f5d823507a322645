// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"
#include "text/unicode_case.h"

namespace accrue::jinja {
namespace {

/// Returns the text of a string. Fails for any other value, as adding text to
/// it does in Python.
const std::string& need_text(const Value& value, const char* filter) {
  if (value.is_undefined()) {
    fail(value.as<Undefined>().message);
  }
  if (!value.is_string()) {
    fail(
        fmt::format("{}: needs a string, not '{}'", filter, value.type_name()));
  }
  return value.text();
}

/// Capitalizes words, which begin after white space, hyphens and opening
/// brackets.
std::string title_words(std::string_view text) {
  auto parts_words = [](char32_t code) {
    return is_space(code) || code == '-' || code == '(' || code == '{' ||
        code == '[' || code == '<';
  };
  std::string out;
  size_t begin = 0; // begin of the current word or of the text between words
  bool between = false;
  auto flush = [&](size_t end) {
    std::string_view word = text.substr(begin, end - begin);
    size_t first = word.empty() ? 0 : unicode::first_character(word).length;
    out += unicode::upper_case(word.substr(0, first));
    out += unicode::lower_case_of_words(word.substr(first));
    begin = end;
  };
  for (size_t i = 0; i < text.size();) {
    auto [code, length] = unicode::first_character(text.substr(i));
    if (parts_words(code) != between) {
      flush(i);
      between = !between;
    }
    i += length;
  }
  flush(text.size());
  return out;
}

Value indent(Runtime&, const Value& self, const Bound& arguments) {
  Value width = arguments.get(0, 4);
  std::string space = width.is_string()
      ? width.text()
      : pad("", arguments.integer(0, 4), Alignment::kLeft);
  const bool blank = arguments.truth(2, false);
  const std::string text = need_text(self, "indent") + "\n";
  std::string out;
  bool first = true;
  for (std::string_view line : split_lines(text)) {
    check_length(out.size() + space.size() + line.size());
    if (!first) {
      out += '\n';
    }
    if (first ? arguments.truth(1, false) : blank || !line.empty()) {
      out += space;
    }
    out += line;
    first = false;
  }
  return out;
}

Value truncate(Runtime&, const Value& self, const Bound& arguments) {
  const int64_t length = arguments.integer(0, 255);
  const bool inside_words = arguments.truth(1, false);
  const std::string end = arguments.has(2) ? arguments.text(2) : "...";
  const int64_t leeway =
      arguments.is_none_or_absent(3) ? 5 : arguments.integer(3);
  auto end_length = static_cast<int64_t>(count_characters(end));
  if (length < end_length || leeway < 0) {
    fail(fmt::format(
        "truncate: the length must be at least {} and the leeway 0",
        end_length));
  }
  if (length_of(self).value_or(INT64_MAX) - length <= leeway) {
    return self;
  }
  const std::string& text = need_text(self, "truncate");
  std::string_view kept =
      characters(text, 0, static_cast<size_t>(length - end_length));
  if (!inside_words) {
    kept = kept.substr(0, kept.rfind(' '));
  }
  return std::string(kept) + end;
}

Value count_words(Runtime&, const Value& self, const Bound&) {
  int64_t count = 0;
  bool in_word = false;
  for (char32_t code : decode(to_text(self))) {
    bool is_word =
        unicode::is_letter(code) || unicode::is_numeric(code) || code == '_';
    count += is_word && !in_word ? 1 : 0;
    in_word = is_word;
  }
  return count;
}

Value quote_url(Runtime& runtime, const Value& self, const Bound&) {
  auto quote = [](const Value& value, bool in_query) {
    std::string out;
    for (char c : to_text(value)) {
      bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
          (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
          c == '~' || (c == '/' && !in_query);
      if (kept) {
        out += c;
      } else if (c == ' ' && in_query) {
        out += '+';
      } else {
        out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
      }
    }
    return out;
  };
  if (self.is_string() || !is_iterable(self)) {
    return quote(self, false);
  }
  Value pairs = self.is(Type::kDict)
      ? Value(std::make_shared<View>(self.share<Dict>(), View::Part::kItems))
      : self;
  std::string out;
  Next next = iterate(runtime, pairs);
  while (auto pair = next()) {
    auto values = to_vector(runtime, *pair);
    if (values.size() != 2) {
      fail("urlencode: needs pairs");
    }
    out += out.empty() ? "" : "&";
    out += quote(values[0], true) + "=" + quote(values[1], true);
    check_length(out.size());
  }
  return out;
}

/// Removes comments and tags, and turns white space into single spaces.
Value strip_tags(Runtime&, const Value& self, const Bound&) {
  std::string text = to_text(self);
  auto remove = [&text](std::string_view begin, std::string_view end) {
    std::string kept;
    size_t i = 0;
    while (true) {
      size_t from = text.find(begin, i);
      size_t to = from == std::string::npos ? from : text.find(end, from + 1);
      if (to == std::string::npos) {
        text = kept.append(text, i);
        return;
      }
      kept.append(text, i, from - i);
      i = to + end.size();
    }
  };
  remove("<!--", "-->");
  remove("<", ">");
  std::string out;
  for (std::string_view word : split_words(text, -1, false)) {
    out += out.empty() ? "" : " ";
    out += word;
  }
  return replace(
      replace(
          replace(
              replace(replace(out, "&lt;", "<", -1), "&gt;", ">", -1),
              "&#34;",
              "\"",
              -1),
          "&#39;",
          "'",
          -1),
      "&amp;",
      "&",
      -1);
}

Value dump_json(Runtime&, const Value& self, const Bound& arguments) {
  JsonStyle style{
      .ascii_only = arguments.truth(0, false),
      .sort_keys = arguments.truth(3, false)};
  if (!arguments.is_none_or_absent(1)) {
    style.item_separator = ",";
    style.indent = arguments[1].is_string()
        ? arguments[1].text()
        : pad("", arguments.integer(1), Alignment::kLeft);
  }
  if (!arguments.is_none_or_absent(2)) {
    const Value& separators = arguments[2];
    if ((!separators.is(Type::kList) && !separators.is(Type::kTuple)) ||
        separators.items().size() != 2 || !separators.items()[0].is_string() ||
        !separators.items()[1].is_string()) {
      fail("tojson: separators must be two strings");
    }
    style.item_separator = separators.items()[0].text();
    style.key_separator = separators.items()[1].text();
  }
  return to_json(self, style);
}

Value trim(Runtime&, const Value& self, const Bound& arguments) {
  std::string text = to_text(self);
  return std::string(
      arguments.is_none_or_absent(0)
          ? strip_right(strip_left(text))
          : strip_right(
                strip_left(text, arguments.text(0)), arguments.text(0)));
}

Value replace_text(Runtime&, const Value& self, const Bound& arguments) {
  return replace(
      to_text(self),
      to_text(arguments[0]),
      to_text(arguments[1]),
      arguments.is_none_or_absent(2) ? -1 : arguments.integer(2));
}

Value format_text_filter(Runtime&, const Value& self, const Bound& arguments) {
  const Arguments& given = arguments.rest();
  if (given.named.empty()) {
    return format_percent(to_text(self), make_tuple(given.positional));
  }
  if (!given.positional.empty()) {
    fail("format: takes arguments with names or without, not both");
  }
  auto named = std::make_shared<Dict>();
  for (const auto& [name, value] : given.named) {
    named->set(name, value);
  }
  return format_percent(to_text(self), named);
}

Value escape(Runtime&, const Value& self, const Bound&) {
  return self.is_markup() ? self : Value::markup(escape_html(to_text(self)));
}

constexpr Builtin kTextFilters[] = {
    {"capitalize",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(unicode::capitalize(to_text(self)));
     }},
    {"center",
     "width?",
     [](Runtime&, const Value& self, const Bound& arguments) {
       return Value(
           pad(to_text(self), arguments.integer(0, 80), Alignment::kCenter));
     }},
    {"e", "", escape},
    {"escape", "", escape},
    {"forceescape",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value::markup(escape_html(to_text(self)));
     }},
    {"format", "*", format_text_filter},
    {"indent", "width? first? blank?", indent},
    {"lower",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(unicode::lower_case_of_words(to_text(self)));
     }},
    {"replace", "old new count?", replace_text},
    {"safe",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value::markup(to_text(self));
     }},
    {"string",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return self.is_string() ? self : Value(to_text(self));
     }},
    {"striptags", "", strip_tags},
    {"title",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(title_words(to_text(self)));
     }},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", dump_json},
    {"trim", "chars?", trim},
    {"truncate", "length? killwords? end? leeway?", truncate},
    {"upper",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       return Value(unicode::upper_case(to_text(self)));
     }},
    {"urlencode", "", quote_url},
    {"wordcount", "", count_words},
};

} // namespace

std::span<const Builtin> text_filters() {
  return kTextFilters;
}

} // namespace accrue::jinja
