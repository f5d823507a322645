// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "text/jinja/objects.h"

// Tables of builtins, which find_filter(), find_test() and others search.

namespace accrue::jinja {

std::span<const Builtin> text_filters();
std::span<const Builtin> number_filters();
std::span<const Builtin> item_filters(); // filters of sequences
std::span<const Builtin> selection_filters(); // map, select, sort, …
std::span<const Builtin> tests();
std::span<const Builtin> globals();
std::span<const Builtin> string_methods();
std::span<const Builtin> string_predicates();
std::span<const Builtin> list_methods();
std::span<const Builtin> tuple_methods();
std::span<const Builtin> dict_methods();

/// Returns a string in lower case, any other value unchanged.
Value ignore_case(const Value& value);

/// Python's int(text, base). Returns nullopt if the text is not an integer, or
/// if the base is neither 0 nor 2 to 36. Fails beyond 64 bits.
std::optional<int64_t> parse_integer(std::string_view text, int64_t base);
/// Python's float(text). Returns nullopt if the text is not a number.
std::optional<double> parse_float(std::string_view text);

/// Makes a dict from the entries of a mapping or from pairs, and from named
/// arguments.
std::shared_ptr<Dict> make_dict(Runtime& runtime, const Bound& arguments);

} // namespace accrue::jinja
