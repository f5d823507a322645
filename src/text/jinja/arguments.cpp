// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "text/jinja/objects.h"

namespace accrue::jinja {
namespace {

struct Parameter {
  std::string_view name;
  bool optional = false;
};

struct Signature {
  std::vector<Parameter> parameters;
  bool may_be_named = true;
  bool takes_rest = false;
};

Signature parse(std::string_view text) {
  Signature signature;
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word == "/") {
      signature.may_be_named = false;
    } else if (word == "*") {
      signature.takes_rest = true;
    } else if (word.ends_with('?')) {
      word.remove_suffix(1);
      signature.parameters.push_back({word, true});
    } else {
      signature.parameters.push_back({word});
    }
  }
  return signature;
}

} // namespace

Bound::Bound(std::string_view function, std::string_view text, Arguments given)
    : function_(function) {
  const Signature signature = parse(text);
  const auto& parameters = signature.parameters;
  values_.resize(parameters.size());
  for (size_t i = 0; i < given.positional.size(); ++i) {
    if (i < parameters.size()) {
      values_[i] = std::move(given.positional[i]);
    } else if (signature.takes_rest) {
      rest_.positional.push_back(std::move(given.positional[i]));
    } else {
      fail(fmt::format(
          "{}() takes at most {} arguments, got {}",
          function,
          parameters.size(),
          given.positional.size()));
    }
  }
  for (auto& [name, value] : given.named) {
    size_t i = 0;
    while (i < parameters.size() &&
           (parameters[i].name != name || !signature.may_be_named)) {
      ++i;
    }
    if (i == parameters.size() && !signature.takes_rest) {
      fail(fmt::format("{}() takes no argument '{}'", function, name));
    }
    if (i == parameters.size()) {
      rest_.named.emplace_back(name, std::move(value));
    } else if (values_[i]) {
      fail(fmt::format("{}() got argument '{}' twice", function, name));
    } else {
      values_[i] = std::move(value);
    }
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!values_[i] && !parameters[i].optional) {
      fail(fmt::format(
          "{}() needs the argument '{}'", function, parameters[i].name));
    }
  }
}

int64_t Bound::integer(size_t i) const {
  if (!values_[i]->is_integral()) {
    fail_type(i, "an integer");
  }
  return values_[i]->integer();
}

const std::string& Bound::text(size_t i) const {
  if (!values_[i]->is_string()) {
    fail_type(i, "a string");
  }
  return values_[i]->text();
}

void Bound::fail_type(size_t i, const char* wanted) const {
  fail(fmt::format(
      "argument {} of {}() must be {}, not '{}'",
      i + 1,
      function_,
      wanted,
      values_[i]->type_name()));
}

} // namespace accrue::jinja
