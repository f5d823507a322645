// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"
#include "text/unicode_case.h"

namespace accrue::jinja {
namespace {

Value list_of(const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (std::string_view part : parts) {
    items.emplace_back(std::string(part));
  }
  return make_list(std::move(items));
}

/// A method that turns a text into a text.
template <std::string (*change)(std::string_view)>
Value change_text(Runtime&, const Value& self, const Bound&) {
  return change(self.text());
}

template <bool left, bool right>
Value strip(Runtime&, const Value& self, const Bound& arguments) {
  std::string_view text = self.text();
  const bool spaces = arguments.is_none_or_absent(0);
  const std::string these = spaces ? "" : arguments.text(0);
  if (left) {
    text = spaces ? strip_left(text) : strip_left(text, these);
  }
  if (right) {
    text = spaces ? strip_right(text) : strip_right(text, these);
  }
  return std::string(text);
}

template <bool from_right>
Value split(Runtime&, const Value& self, const Bound& arguments) {
  const int64_t most = arguments.integer(1, -1);
  if (arguments.is_none_or_absent(0)) {
    return list_of(split_words(self.text(), most, from_right));
  }
  if (arguments.text(0).empty()) {
    fail("split: empty separator");
  }
  return list_of(split_at(self.text(), arguments.text(0), most, from_right));
}

template <bool from_right>
Value partition(Runtime&, const Value& self, const Bound& arguments) {
  const std::string& text = self.text();
  const std::string& separator = arguments.text(0);
  if (separator.empty()) {
    fail("partition: empty separator");
  }
  size_t found = from_right ? text.rfind(separator) : text.find(separator);
  if (found == std::string::npos) {
    return from_right ? make_tuple({"", "", text}) : make_tuple({text, "", ""});
  }
  return make_tuple(
      {text.substr(0, found),
       separator,
       text.substr(found + separator.size())});
}

/// Part of a text between two optional indices.
struct Part {
  std::string_view text;
  int64_t begin = 0; // index of its first character
  bool exists = true; // false if the begin is past the end
};

Part take_part(const std::string& text, const Bound& arguments, size_t first) {
  auto length = static_cast<int64_t>(count_characters(text));
  auto bound = [&](size_t i, int64_t fallback) {
    int64_t index =
        arguments.is_none_or_absent(i) ? fallback : arguments.integer(i);
    return std::max<int64_t>(0, index < 0 ? index + length : index);
  };
  int64_t begin = bound(first, 0);
  int64_t end = std::min(bound(first + 1, length), length);
  if (begin > end) {
    return {"", begin, false};
  }
  return {
      characters(text, static_cast<size_t>(begin), static_cast<size_t>(end)),
      begin};
}

/// find, rfind, index, rindex.
template <bool from_right, bool must_exist>
Value find(Runtime&, const Value& self, const Bound& arguments) {
  Part part = take_part(self.text(), arguments, 1);
  const std::string& wanted = arguments.text(0);
  size_t found = !part.exists ? std::string_view::npos
      : from_right            ? part.text.rfind(wanted)
                              : part.text.find(wanted);
  if (found != std::string_view::npos) {
    return part.begin +
        static_cast<int64_t>(count_characters(part.text.substr(0, found)));
  }
  if (must_exist) {
    fail("index: substring not found");
  }
  return -1;
}

Value count(Runtime&, const Value& self, const Bound& arguments) {
  Part part = take_part(self.text(), arguments, 1);
  const std::string& wanted = arguments.text(0);
  if (!part.exists) {
    return 0;
  }
  if (wanted.empty()) {
    return static_cast<int64_t>(count_characters(part.text)) + 1;
  }
  int64_t found = 0;
  for (size_t i = part.text.find(wanted); i != std::string_view::npos;
       i = part.text.find(wanted, i + wanted.size())) {
    ++found;
  }
  return found;
}

/// startswith, endswith: one text or a tuple of them.
template <bool at_end>
Value has_affix(Runtime&, const Value& self, const Bound& arguments) {
  Part part = take_part(self.text(), arguments, 1);
  auto matches = [&](const Value& affix) {
    if (!affix.is_string()) {
      fail(fmt::format(
          "{}swith: needs a string or a tuple of strings, not '{}'",
          at_end ? "end" : "start",
          affix.type_name()));
    }
    return part.exists &&
        (at_end ? part.text.ends_with(affix.text())
                : part.text.starts_with(affix.text()));
  };
  if (arguments[0].is(Type::kTuple)) {
    const auto& affixes = arguments[0].items();
    return std::any_of(affixes.begin(), affixes.end(), matches);
  }
  return matches(arguments[0]);
}

Value join_items(Runtime& runtime, const Value& self, const Bound& arguments) {
  std::string text;
  Next next = iterate(runtime, arguments[0]);
  for (bool first = true; auto item = next(); first = false) {
    if (!item->is_string()) {
      fail(fmt::format("join: needs strings, not '{}'", item->type_name()));
    }
    text += first ? "" : self.text();
    text += item->text();
    check_length(text.size());
  }
  return text;
}

Value replace_in(Runtime&, const Value& self, const Bound& arguments) {
  return replace(
      self.text(),
      arguments.text(0),
      arguments.text(1),
      arguments.integer(2, -1));
}

template <Alignment alignment>
Value justify(Runtime&, const Value& self, const Bound& arguments) {
  const std::string fill = arguments.has(1) ? arguments.text(1) : " ";
  if (count_characters(fill) != 1) {
    fail("the text to fill with must be one character");
  }
  std::string text = pad(self.text(), arguments.integer(0), alignment, fill);
  return text;
}

Value fill_zeros(Runtime&, const Value& self, const Bound& arguments) {
  std::string_view text = self.text();
  std::string sign;
  if (text.starts_with('+') || text.starts_with('-')) {
    sign = text.substr(0, 1);
    text.remove_prefix(1);
  }
  const int64_t width =
      arguments.integer(0) - static_cast<int64_t>(sign.size());
  return sign + pad(text, width, Alignment::kRight, "0");
}

Value remove_prefix(Runtime&, const Value& self, const Bound& arguments) {
  const std::string& affix = arguments.text(0);
  return self.text().starts_with(affix)
      ? Value(self.text().substr(affix.size()))
      : self;
}

Value remove_suffix(Runtime&, const Value& self, const Bound& arguments) {
  const std::string& text = self.text();
  const std::string& affix = arguments.text(0);
  return text.ends_with(affix)
      ? Value(text.substr(0, text.size() - affix.size()))
      : self;
}

Value expand_tabs(Runtime&, const Value& self, const Bound& arguments) {
  const int64_t size = arguments.integer(0, 8);
  std::string out;
  int64_t column = 0;
  for (char32_t code : decode(self.text())) {
    if (code == '\t') {
      int64_t spaces = size > 0 ? size - column % size : 0;
      check_length(out.size() + static_cast<uint64_t>(spaces));
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
    } else {
      unicode::append(out, code);
      column = code == '\n' || code == '\r' ? 0 : column + 1;
    }
  }
  return out;
}

/// Refuses methods of str that return bytes or take tables.
[[noreturn]] Value refuse(Runtime&, const Value&, const Bound&) {
  fail("str.encode and str.translate are not supported in chat templates");
}

constexpr Builtin kStringMethods[] = {
    {"capitalize", "", change_text<unicode::capitalize>},
    {"casefold", "", change_text<unicode::fold_case>},
    {"center", "/ width fill?", justify<Alignment::kCenter>},
    {"count", "/ sub start? end?", count},
    {"encode", "*", refuse},
    {"endswith", "/ suffix start? end?", has_affix<true>},
    {"expandtabs", "tabsize?", expand_tabs},
    {"find", "/ sub start? end?", find<false, false>},
    {"format",
     "*",
     [](Runtime&, const Value& self, const Bound& arguments) {
       return Value(format_braces(self.text(), arguments.rest()));
     }},
    {"index", "/ sub start? end?", find<false, true>},
    {"join", "/ iterable", join_items},
    {"ljust", "/ width fill?", justify<Alignment::kLeft>},
    {"lower", "", change_text<unicode::lower_case_of_words>},
    {"lstrip", "/ chars?", strip<true, false>},
    {"partition", "/ sep", partition<false>},
    {"removeprefix", "/ prefix", remove_prefix},
    {"removesuffix", "/ suffix", remove_suffix},
    {"replace", "/ old new count?", replace_in},
    {"rfind", "/ sub start? end?", find<true, false>},
    {"rindex", "/ sub start? end?", find<true, true>},
    {"rjust", "/ width fill?", justify<Alignment::kRight>},
    {"rpartition", "/ sep", partition<true>},
    {"rsplit", "sep? maxsplit?", split<true>},
    {"rstrip", "/ chars?", strip<false, true>},
    {"split", "sep? maxsplit?", split<false>},
    {"splitlines",
     "keepends?",
     [](Runtime&, const Value& self, const Bound& arguments) {
       return list_of(split_lines(self.text(), arguments.truth(0, false)));
     }},
    {"startswith", "/ prefix start? end?", has_affix<false>},
    {"strip", "/ chars?", strip<true, true>},
    {"swapcase", "", change_text<unicode::swap_case>},
    {"title", "", change_text<unicode::title_case>},
    {"translate", "*", refuse},
    {"upper", "", change_text<unicode::upper_case>},
    {"zfill", "/ width", fill_zeros},
};

} // namespace

std::span<const Builtin> string_methods() {
  return kStringMethods;
}

} // namespace accrue::jinja
