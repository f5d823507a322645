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

/// Makes a template's tree. Throws SyntaxError.
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
  /// One expression, or several with commas between them. The tuple ends at
  /// the end of the tag, at ")" or at `end`.
  ExpressionPtr parse_tuple(
      bool with_conditions = true,
      std::string_view end = "",
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
  /// From "%}" to one of the tags `ends`, which is left for the caller.
  Block parse_body(Words ends);
  /// As parse_body with one end, which is read, in a block of names that the
  /// caller began.
  Block parse_to_end(std::string_view end);
  void parse_parameters(MacroDefinition& macro);
  /// Body of a macro whose block of names the caller began.
  void parse_macro_body(MacroDefinition& macro, std::string_view end);
  Target parse_target(bool with_attributes, std::string_view end = "");
  Target parse_target_part(bool with_attributes);
  void set_names(const Target& target, bool as_parameters);

  /// Filters and tests that do not exist fail where they are read, except
  /// within conditions: there they fail when they are used.
  void report_unknown_since(size_t count);

  std::vector<Token> tokens_;
  size_t i_ = 0;
  int level_ = 0;
  Names names_;
  std::vector<SyntaxError> unknown_;
  std::vector<std::string> open_tags_;
  int loops_ = 0; // around, for any use of the name loop
  int breakable_ = 0; // loops that break and continue can reach
};

} // namespace accrue::jinja
