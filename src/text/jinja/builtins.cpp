// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/builtins.h"

#include <initializer_list>

namespace accrue::jinja {
namespace {

using Tables = std::initializer_list<std::span<const Builtin>>;

const Builtin* find_builtin(Tables tables, std::string_view name) {
  for (const auto& table : tables) {
    for (const Builtin& builtin : table) {
      if (builtin.name == name) {
        return &builtin;
      }
    }
  }
  return nullptr;
}

} // namespace

const Builtin* find_filter(std::string_view name) {
  return find_builtin(
      {text_filters(), number_filters(), item_filters(), selection_filters()},
      name);
}

const Builtin* find_test(std::string_view name) {
  return find_builtin({tests()}, name);
}

const Builtin* find_global(std::string_view name) {
  return find_builtin({globals()}, name);
}

const Builtin* find_method(Type type, std::string_view name) {
  switch (type) {
    case Type::kString:
      return find_builtin({string_methods(), string_predicates()}, name);
    case Type::kList:
      return find_builtin({list_methods()}, name);
    case Type::kTuple:
    case Type::kRange:
      return find_builtin({tuple_methods()}, name);
    case Type::kDict:
      return find_builtin({dict_methods()}, name);
    default:
      return nullptr;
  }
}

} // namespace accrue::jinja
