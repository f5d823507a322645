// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/objects.h"
#include "text/jinja/parser_nesting.h"

namespace accrue::jinja {
namespace {

int depth_of(const ExpressionPtr& expression) {
  return expression ? expression->depth : 0;
}

template <class... Expressions>
int deepest(const Expressions&... expressions) {
  return std::max({0, depth_of(expressions)...});
}

} // namespace

ExpressionPtr Parser::make(
    int line,
    int depth,
    decltype(Expression::node) node) {
  if (depth >= kMaxNesting) {
    fail(fmt::format("nested beyond {} levels", kMaxNesting));
  }
  auto expression = std::make_unique<Expression>();
  expression->node = std::move(node);
  expression->line = line;
  expression->depth = depth + 1;
  return expression;
}

ExpressionPtr Parser::parse_expression() {
  Nesting nesting(*this);
  const size_t unknown = unknown_.size();
  int line = current().line;
  ExpressionPtr value = parse_or();
  while (skip_name("if")) {
    ExpressionPtr test = parse_or();
    ExpressionPtr otherwise = skip_name("else") ? parse_expression() : nullptr;
    int depth = deepest(test, value, otherwise);
    value = make(
        line,
        depth,
        Conditional{
            .test = std::move(test),
            .then = std::move(value),
            .otherwise = std::move(otherwise)});
    unknown_.resize(unknown);
    line = current().line;
  }
  return value;
}

ExpressionPtr Parser::parse_or() {
  int line = current().line;
  ExpressionPtr left = parse_and();
  while (skip_name("or")) {
    ExpressionPtr right = parse_and();
    int depth = deepest(left, right);
    left = make(line, depth, Logical{true, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr Parser::parse_and() {
  int line = current().line;
  ExpressionPtr left = parse_not();
  while (skip_name("and")) {
    ExpressionPtr right = parse_not();
    int depth = deepest(left, right);
    left = make(line, depth, Logical{false, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr Parser::parse_not() {
  int line = current().line;
  if (!skip_name("not")) {
    return parse_comparison();
  }
  Nesting nesting(*this);
  ExpressionPtr operand = parse_not();
  int depth = deepest(operand);
  return make(line, depth, Unary{Unary::Operation::kNot, std::move(operand)});
}

bool Parser::comparison_operation(Comparison::Operation& operation) {
  using Operation = Comparison::Operation;
  static constexpr std::pair<std::string_view, Operation> kOperators[] = {
      {"==", Operation::kEqual},
      {"!=", Operation::kNotEqual},
      {"<", Operation::kLess},
      {"<=", Operation::kLessEqual},
      {">", Operation::kGreater},
      {">=", Operation::kGreaterEqual}};
  for (const auto& [text, which] : kOperators) {
    if (skip_operator(text)) {
      operation = which;
      return true;
    }
  }
  if (skip_name("in")) {
    operation = Operation::kIn;
    return true;
  }
  if (is_name("not") && look().kind == Kind::kName && look().text == "in") {
    next();
    next();
    operation = Operation::kNotIn;
    return true;
  }
  return false;
}

ExpressionPtr Parser::parse_comparison() {
  int line = current().line;
  Comparison comparison{.first = parse_sum()};
  int depth = deepest(comparison.first);
  Comparison::Operation operation{};
  while (comparison_operation(operation)) {
    comparison.rest.emplace_back(operation, parse_sum());
    depth = std::max(depth, deepest(comparison.rest.back().second));
  }
  return comparison.rest.empty() ? std::move(comparison.first)
                                 : make(line, depth, std::move(comparison));
}

ExpressionPtr Parser::parse_sum() {
  int line = current().line;
  ExpressionPtr left = parse_concatenation();
  while (is_operator("+") || is_operator("-")) {
    auto operation = next().text == "+" ? Binary::Operation::kAdd
                                        : Binary::Operation::kSubtract;
    ExpressionPtr right = parse_concatenation();
    int depth = deepest(left, right);
    left =
        make(line, depth, Binary{operation, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr Parser::parse_concatenation() {
  int line = current().line;
  Concatenation joined;
  joined.parts.push_back(parse_product());
  int depth = deepest(joined.parts[0]);
  while (skip_operator("~")) {
    joined.parts.push_back(parse_product());
    depth = std::max(depth, deepest(joined.parts.back()));
  }
  return joined.parts.size() == 1 ? std::move(joined.parts[0])
                                  : make(line, depth, std::move(joined));
}

ExpressionPtr Parser::parse_product() {
  using Operation = Binary::Operation;
  int line = current().line;
  ExpressionPtr left = parse_power();
  while (is_operator("*") || is_operator("/") || is_operator("//") ||
         is_operator("%")) {
    const std::string& sign = next().text;
    auto operation = sign == "*" ? Operation::kMultiply
        : sign == "/"            ? Operation::kDivide
        : sign == "//"           ? Operation::kFloorDivide
                                 : Operation::kModulo;
    ExpressionPtr right = parse_power();
    int depth = deepest(left, right);
    left =
        make(line, depth, Binary{operation, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr Parser::parse_power() {
  int line = current().line;
  ExpressionPtr left = parse_unary(true);
  while (skip_operator("**")) {
    ExpressionPtr right = parse_unary(true);
    int depth = deepest(left, right);
    left = make(
        line,
        depth,
        Binary{Binary::Operation::kPower, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr Parser::parse_unary(bool with_filters) {
  Nesting nesting(*this);
  int line = current().line;
  ExpressionPtr node;
  if (is_operator("-") || is_operator("+")) {
    auto operation =
        next().text == "-" ? Unary::Operation::kMinus : Unary::Operation::kPlus;
    ExpressionPtr operand = parse_unary(false);
    int depth = deepest(operand);
    node = make(line, depth, Unary{operation, std::move(operand)});
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filters_and_tests(std::move(node))
                      : std::move(node);
}

ExpressionPtr Parser::parse_primary() {
  const Token& token = current();
  switch (token.kind) {
    case Kind::kName:
      return parse_name();
    case Kind::kString:
      return parse_strings();
    case Kind::kInteger:
      return make(next().line, 0, Constant{token.integer});
    case Kind::kFloat:
      return make(next().line, 0, Constant{token.number});
    default:
      break;
  }
  if (skip_operator("(")) {
    ExpressionPtr inner = parse_tuple(true, true);
    expect_operator(")");
    return inner;
  }
  if (is_operator("[")) {
    return parse_list();
  }
  if (is_operator("{")) {
    return parse_dict();
  }
  fail(fmt::format("expected an expression, got {}", describe(token)));
}

ExpressionPtr Parser::parse_name() {
  const Token& token = next();
  const std::string& name = token.text;
  if (name == "true" || name == "True") {
    return make(token.line, 0, Constant{true});
  }
  if (name == "false" || name == "False") {
    return make(token.line, 0, Constant{false});
  }
  if (name == "none" || name == "None") {
    return make(token.line, 0, Constant{});
  }
  names_.read(name);
  return make(token.line, 0, Name{name});
}

ExpressionPtr Parser::parse_strings() {
  int line = current().line;
  std::string text;
  while (current().kind == Kind::kString) { // side by side: one string
    text += next().text;
  }
  return make(line, 0, Constant{std::move(text)});
}

ExpressionPtr Parser::parse_list() {
  int line = next().line;
  ListLiteral list;
  int depth = 0;
  while (!is_operator("]")) {
    if (!list.items.empty()) {
      expect_operator(",");
      if (is_operator("]")) {
        break;
      }
    }
    list.items.push_back(parse_expression());
    depth = std::max(depth, deepest(list.items.back()));
  }
  expect_operator("]");
  return make(line, depth, std::move(list));
}

ExpressionPtr Parser::parse_dict() {
  int line = next().line;
  DictLiteral dict;
  int depth = 0;
  while (!is_operator("}")) {
    if (!dict.items.empty()) {
      expect_operator(",");
      if (is_operator("}")) {
        break;
      }
    }
    ExpressionPtr key = parse_expression();
    expect_operator(":");
    ExpressionPtr value = parse_expression();
    depth = std::max(depth, deepest(key, value));
    dict.items.emplace_back(std::move(key), std::move(value));
  }
  expect_operator("}");
  return make(line, depth, std::move(dict));
}

ExpressionPtr Parser::parse_tuple(bool with_conditions, bool may_be_empty) {
  auto at_end = [&] {
    return current().kind == Kind::kOutputEnd ||
        current().kind == Kind::kBlockEnd || is_operator(")");
  };
  int line = current().line;
  ListLiteral tuple{.is_tuple = true};
  int depth = 0;
  bool has_comma = false;
  while (!at_end()) {
    tuple.items.push_back(with_conditions ? parse_expression() : parse_or());
    depth = std::max(depth, deepest(tuple.items.back()));
    if (!skip_operator(",")) {
      break;
    }
    has_comma = true;
  }
  if (!has_comma && !tuple.items.empty()) {
    return std::move(tuple.items[0]);
  }
  if (!has_comma && !may_be_empty) {
    fail(fmt::format("expected an expression, got {}", describe(current())));
  }
  return make(line, depth, std::move(tuple));
}

} // namespace accrue::jinja
