// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/objects.h"
#include "text/jinja/parser_nesting.h"

// Parts of expressions that follow an operand: .name, [key], (arguments), |
// filter, is test.

namespace accrue::jinja {

ExpressionPtr Parser::parse_postfix(ExpressionPtr operand) {
  while (true) {
    if (is_operator(".")) {
      operand = parse_attribute(std::move(operand));
    } else if (is_operator("[")) {
      operand = parse_subscript(std::move(operand));
    } else if (is_operator("(")) {
      operand = parse_call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr Parser::parse_filters_and_tests(ExpressionPtr operand) {
  while (true) {
    if (skip_operator("|")) {
      operand = parse_filter(std::move(operand));
    } else if (is_name("is")) {
      operand = parse_test(std::move(operand));
    } else if (is_operator("(")) {
      operand = parse_call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr Parser::parse_attribute(ExpressionPtr object) {
  int line = next().line;
  int depth = object->depth;
  const Token& token = next();
  if (token.kind == Kind::kName) {
    return make(line, depth, Attribute{std::move(object), token.text});
  }
  if (token.kind != Kind::kInteger) {
    fail("expected a name or a number after the dot", token.line);
  }
  return make(
      line,
      depth,
      Item{std::move(object), make(token.line, 0, Constant{token.integer})});
}

ExpressionPtr Parser::parse_subscript(ExpressionPtr object) {
  int line = next().line;
  auto bound = [this]() -> ExpressionPtr {
    return is_operator(":") || is_operator("]") ? nullptr : parse_expression();
  };
  ExpressionPtr first = bound();
  if (first == nullptr && is_operator("]")) {
    first = make(line, 0, ListLiteral{.is_tuple = true});
  }
  int depth = std::max(object->depth, first ? first->depth : 0);
  if (skip_operator(":")) {
    Slice slice{.object = std::move(object), .start = std::move(first)};
    slice.stop = bound();
    slice.step = skip_operator(":") ? bound() : nullptr;
    depth = std::max(
        {depth,
         slice.stop ? slice.stop->depth : 0,
         slice.step ? slice.step->depth : 0});
    expect_operator("]");
    return make(line, depth, std::move(slice));
  }
  if (is_operator(",")) { // a tuple as a key
    ListLiteral key{.is_tuple = true};
    key.items.push_back(std::move(first));
    while (skip_operator(",")) {
      key.items.push_back(parse_expression());
      depth = std::max(depth, key.items.back()->depth);
    }
    first = make(line, depth, std::move(key));
    ++depth;
  }
  expect_operator("]");
  return make(line, depth, Item{std::move(object), std::move(first)});
}

CallArguments Parser::parse_arguments(int& depth) {
  expect_operator("(");
  CallArguments arguments;
  auto parse = [&] {
    ExpressionPtr value = parse_expression();
    depth = std::max(depth, value->depth);
    return value;
  };
  auto check = [this](bool is_sound) {
    if (!is_sound) {
      fail("invalid order of arguments");
    }
  };
  for (bool first = true; !is_operator(")"); first = false) {
    if (!first) {
      expect_operator(",");
      if (is_operator(")")) {
        break;
      }
    }
    if (skip_operator("*")) {
      check(!arguments.more_positional && !arguments.more_named);
      arguments.more_positional = parse();
    } else if (skip_operator("**")) {
      check(!arguments.more_named);
      arguments.more_named = parse();
    } else if (
        current().kind == Kind::kName && look().kind == Kind::kOperator &&
        look().text == "=") {
      check(!arguments.more_named);
      std::string name = next().text;
      next();
      for (const auto& [other, value] : arguments.named) {
        if (other == name) {
          fail(fmt::format("the argument '{}' is given twice", name));
        }
      }
      arguments.named.emplace_back(name, parse());
    } else {
      check(
          !arguments.more_positional && !arguments.more_named &&
          arguments.named.empty());
      arguments.positional.push_back(parse());
    }
  }
  expect_operator(")");
  return arguments;
}

ExpressionPtr Parser::parse_call(ExpressionPtr callee) {
  int line = current().line;
  int depth = callee->depth;
  CallArguments arguments = parse_arguments(depth);
  return make(line, depth, Call{std::move(callee), std::move(arguments)});
}

std::string Parser::parse_dotted_name() {
  std::string name = expect_any_name();
  while (skip_operator(".")) {
    name += "." + expect_any_name();
  }
  return name;
}

ExpressionPtr Parser::parse_filter(ExpressionPtr operand) {
  int line = current().line;
  int depth = operand ? operand->depth : 0;
  FilterCall filter{.name = parse_dotted_name(), .operand = std::move(operand)};
  filter.filter = find_filter(filter.name);
  if (filter.filter == nullptr) {
    unknown_.push_back(
        {fmt::format("there is no filter '{}'", filter.name), line});
  }
  if (is_operator("(")) {
    filter.arguments = parse_arguments(depth);
  }
  return make(line, depth, std::move(filter));
}

ExpressionPtr Parser::parse_test(ExpressionPtr operand) {
  int line = next().line;
  const bool negated = skip_name("not");
  int depth = operand->depth;
  TestCall test{.name = parse_dotted_name(), .operand = std::move(operand)};
  test.test = find_test(test.name);
  if (test.test == nullptr) {
    unknown_.push_back({fmt::format("there is no test '{}'", test.name), line});
  }
  if (is_operator("(")) {
    test.arguments = parse_arguments(depth);
  } else if (is_name("is")) {
    fail("tests with \"is\" can't follow each other");
  } else if (
      (current().kind == Kind::kName && !is_name("else") && !is_name("or") &&
       !is_name("and")) ||
      current().kind == Kind::kString || current().kind == Kind::kInteger ||
      current().kind == Kind::kFloat || is_operator("[") || is_operator("{")) {
    ExpressionPtr argument = parse_postfix(parse_primary());
    depth = std::max(depth, argument->depth);
    test.arguments.positional.push_back(std::move(argument));
  }
  ExpressionPtr result = make(line, depth, std::move(test));
  return negated
      ? make(line, depth + 1, Unary{Unary::Operation::kNot, std::move(result)})
      : std::move(result);
}

} // namespace accrue::jinja
