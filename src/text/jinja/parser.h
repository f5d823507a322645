// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/names.h"
#include "text/jinja/statements.h"

namespace accrue::jinja {

/// Parses a template into a tree. Throws SyntaxError.
class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  Body parse();

 private:
  using Kind = Token::Kind;
  using Words = std::initializer_list<std::string_view>;

  /// Counts levels of recursion. Fails past the limit.
  class Nesting;

  // Tokens.
  const Token& current() const {
    return tokens_[i_];
  }
  const Token& look() const {
    return tokens_[std::min(i_ + 1, tokens_.size() - 1)];
  }
  const Token& next();
  bool is_operator(std::string_view text) const;
  bool is_name(std::string_view text) const;
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view text);
  std::string expect_any_name();
  void expect(Kind kind, const char* what);
  [[noreturn]] void fail(std::string message) const;
  [[noreturn]] void fail(std::string message, int line) const;

  // Expressions, from the loosest operator to the tightest.
  ExpressionPtr make(int line, int depth, decltype(Expression::node) node);
  ExpressionPtr parse_expression();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_comparison();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concatenation();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_strings();
  ExpressionPtr parse_postfix(ExpressionPtr operand);
  ExpressionPtr parse_attribute(ExpressionPtr object);
  ExpressionPtr parse_subscript(ExpressionPtr object);
  ExpressionPtr parse_call(ExpressionPtr callee);
  ExpressionPtr parse_filters_and_tests(ExpressionPtr operand);
  /// `operand` is null in a filter block.
  ExpressionPtr parse_filter(ExpressionPtr operand);
  ExpressionPtr parse_test(ExpressionPtr operand);
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  /// Parses one expression, or a tuple of several with commas between them.
  ExpressionPtr parse_tuple(
      bool with_conditions = true,
      bool may_be_empty = false);
  CallArguments parse_arguments(int& depth);
  std::string parse_dotted_name();
  bool comparison_operation(Comparison::Operation& operation);

  // Statements.
  Block parse_block(Words ends);
  Statement parse_statement();
  Statement parse_if();
  Statement parse_for();
  Statement parse_set();
  Statement parse_macro();
  Statement parse_call_block();
  Statement parse_filter_block();
  Statement parse_with();
  Statement parse_generation();
  Statement parse_loop_control();
  void parse_print(Block& block);
  /// Parses from "%}" to one of the tags `ends`, which is left for the caller.
  Block parse_body(Words ends);
  /// Parses like parse_body and also reads the end tag. The caller has begun a
  /// block of names.
  Block parse_to_end(std::string_view end);
  void parse_parameters(MacroDefinition& macro);
  /// Parses the body of a macro. The caller has begun its block of names.
  void parse_macro_body(MacroDefinition& macro, std::string_view end);
  Target parse_target(bool with_attributes);
  Target parse_target_part(bool with_attributes);
  void set_names(const Target& target, bool as_parameters);

  /// Fails for an unknown filter or test that was found since unknown_ had
  /// `count` entries. Within a condition it only fails when it is used.
  void report_unknown_since(size_t count);

  std::vector<Token> tokens_;
  size_t i_ = 0;
  int level_ = 0;
  Names names_;
  std::vector<SyntaxError> unknown_;
  std::vector<std::string> open_tags_;
  int loops_ = 0; // loops around, for uses of the name loop
  int breakable_ = 0; // loops around that break can leave
};

} // namespace accrue::jinja
