#pragma once

#include <span>

#include "text/jinja/objects.h"

// Tables of builtins; find_filter() and its likes search them.

namespace accrue::jinja {

std::span<const Builtin> text_filters();
std::span<const Builtin> number_filters();
std::span<const Builtin> item_filters(); // of what is iterated over
std::span<const Builtin> selection_filters(); // map, select, sort, …
std::span<const Builtin> tests();
std::span<const Builtin> globals();
std::span<const Builtin> string_methods();
std::span<const Builtin> string_predicates();
std::span<const Builtin> list_methods();
std::span<const Builtin> tuple_methods();
std::span<const Builtin> dict_methods();

/// A string in lower case, anything else as it is.
Value ignore_case(const Value& value);

/// int(text, base). Absent if the text is no integer, or the base none of 0 and
/// 2 to 36. Fails beyond 64 bits.
std::optional<int64_t> parse_integer(std::string_view text, int64_t base);
/// float(text).
std::optional<double> parse_float(std::string_view text);

/// A dict of the entries of a mapping or of pairs, and named arguments.
std::shared_ptr<Dict> make_dict(Runtime& runtime, const Bound& arguments);

} // namespace accrue::jinja
