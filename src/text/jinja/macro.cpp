// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/macro.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/evaluate_scope.h"

namespace accrue::jinja {
namespace {

std::optional<Value> take_named(Arguments& arguments, std::string_view name) {
  auto found = std::find_if(
      arguments.named.begin(), arguments.named.end(), [&](const auto& named) {
        return named.first == name;
      });
  if (found == arguments.named.end()) {
    return std::nullopt;
  }
  Value value = std::move(found->second);
  arguments.named.erase(found);
  return value;
}

} // namespace

std::string MacroObject::describe() const {
  return definition_.name.empty()
      ? "<Macro anonymous>"
      : fmt::format("<Macro '{}'>", definition_.name);
}

std::optional<Value> MacroObject::attribute(const std::string& name) {
  if (name == "name") {
    return definition_.name.empty() ? Value() : Value(definition_.name);
  }
  if (name == "arguments") {
    return make_tuple(
        {definition_.parameters.begin(), definition_.parameters.end()});
  }
  if (name == "catch_kwargs") {
    return definition_.reads_kwargs;
  }
  if (name == "catch_varargs") {
    return definition_.reads_varargs;
  }
  if (name == "caller") {
    return definition_.reads_caller;
  }
  return std::nullopt;
}

Value MacroObject::call(Runtime&, Arguments arguments) {
  Values values = take_parameters(arguments);
  Evaluator::InnerScope inner(evaluator_, scope_);
  set_special_names(arguments);
  if (!arguments.named.empty()) {
    fail(fmt::format(
        "macro '{}' takes no keyword argument '{}'",
        definition_.name,
        arguments.named[0].first));
  }
  if (!arguments.positional.empty()) {
    fail(fmt::format(
        "macro '{}' takes at most {} argument(s)",
        definition_.name,
        definition_.parameters.size()));
  }
  return evaluator_.capture([&] {
    set_parameters(std::move(values));
    evaluator_.execute_body(definition_.body);
  });
}

MacroObject::Values MacroObject::take_parameters(Arguments& arguments) const {
  const auto& names = definition_.parameters;
  Values values(names.size());
  auto& given = arguments.positional;
  size_t count = std::min(given.size(), names.size());
  std::move(
      given.begin(),
      given.begin() + static_cast<std::ptrdiff_t>(count),
      values.begin());
  given.erase(
      given.begin(), given.begin() + static_cast<std::ptrdiff_t>(count));
  for (size_t i = count; i < names.size(); ++i) {
    values[i] = take_named(arguments, names[i]);
  }
  return values;
}

void MacroObject::set_special_names(Arguments& arguments) const {
  auto& variables = evaluator_.scope_->variables;
  if (definition_.reads_caller) {
    auto caller = take_named(arguments, "caller");
    variables["caller"] = caller && !caller->is_none()
        ? *caller
        : Value::undefined("No caller defined");
  }
  if (definition_.reads_kwargs) {
    auto kwargs = std::make_shared<Dict>();
    for (auto& [name, value] : arguments.named) {
      kwargs->set(name, std::move(value));
    }
    arguments.named.clear();
    variables["kwargs"] = kwargs;
  }
  if (definition_.reads_varargs) {
    variables["varargs"] = make_tuple(std::move(arguments.positional));
    arguments.positional.clear();
  }
}

void MacroObject::set_parameters(Values values) const {
  const auto& names = definition_.parameters;
  auto& variables = evaluator_.scope_->variables;
  // A default may read parameters before it, and those after it that were
  // given.
  for (size_t i = 0; i < names.size(); ++i) {
    variables[names[i]] = values[i]
        ? *values[i]
        : Value::undefined(fmt::format("'{}' is undefined", names[i]));
  }
  const size_t num_required = names.size() - definition_.defaults.size();
  for (size_t i = 0; i < names.size(); ++i) {
    if (!values[i]) {
      variables[names[i]] = i < num_required
          ? Value::undefined(
                fmt::format("parameter '{}' was not provided", names[i]))
          : evaluator_.evaluate(*definition_.defaults[i - num_required]);
    }
  }
}

} // namespace accrue::jinja
