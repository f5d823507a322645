// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/jinja/parser_nesting.h"

// Statements with a body that is a macro: macro, call and generation.

namespace accrue::jinja {

Statement Parser::parse_macro() {
  next();
  Macro macro;
  macro.definition.name = expect_any_name();
  names_.set(macro.definition.name);
  names_.begin(true);
  parse_parameters(macro.definition);
  parse_macro_body(macro.definition, "endmacro");
  return {std::move(macro)};
}

Statement Parser::parse_call_block() {
  int line = next().line;
  CallBlock block;
  // The call belongs outside of the block, but comes after the parameters.
  MacroDefinition signature;
  const size_t unknown = unknown_.size();
  names_.begin();
  if (is_operator("(")) {
    parse_parameters(signature);
  }
  names_.end();
  report_unknown_since(unknown);
  block.caller = std::move(signature);
  block.call = parse_expression();
  if (!std::holds_alternative<Call>(block.call->node)) {
    fail("expected a call", line);
  }
  names_.begin(true);
  for (const std::string& name : block.caller.parameters) {
    names_.declare(name);
  }
  parse_macro_body(block.caller, "endcall");
  return {std::move(block)};
}

Statement Parser::parse_generation() {
  next();
  Generation generation;
  names_.begin(true);
  parse_macro_body(generation.content, "endgeneration");
  return {std::move(generation)};
}

void Parser::parse_macro_body(MacroDefinition& macro, std::string_view end) {
  // A macro is a function: it can't leave a loop around it.
  const int breakable = std::exchange(breakable_, 0);
  const size_t unknown = unknown_.size();
  const size_t num_required = macro.parameters.size() - macro.defaults.size();
  auto caller =
      std::find(macro.parameters.begin(), macro.parameters.end(), "caller");
  macro.body.block = parse_to_end(end);
  names_.end(macro);
  if (static_cast<size_t>(caller - macro.parameters.begin()) < num_required) {
    fail("the parameter 'caller' needs a default");
  }
  report_unknown_since(unknown);
  breakable_ = breakable;
}

void Parser::parse_parameters(MacroDefinition& macro) {
  expect_operator("(");
  while (!is_operator(")")) {
    if (!macro.parameters.empty()) {
      expect_operator(",");
    }
    std::string name = expect_any_name();
    if (std::find(macro.parameters.begin(), macro.parameters.end(), name) !=
        macro.parameters.end()) {
      fail(fmt::format("the parameter '{}' is given twice", name));
    }
    names_.declare(name);
    if (skip_operator("=")) {
      macro.defaults.push_back(parse_expression());
    } else if (!macro.defaults.empty()) {
      fail("a parameter without a default follows one with a default");
    }
    macro.parameters.push_back(std::move(name));
  }
  expect_operator(")");
}

} // namespace accrue::jinja
