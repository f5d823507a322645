// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/value.h"

// Expressions of a template's syntax tree.

namespace accrue::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
struct Statement;
using Block = std::vector<Statement>;
struct Builtin;

struct Constant {
  Value value;
};

struct Name {
  std::string name;
};

struct ListLiteral {
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
};

struct DictLiteral {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};

struct Unary {
  enum class Operation { kNot, kMinus, kPlus };
  Operation operation;
  ExpressionPtr operand;
};

struct Binary {
  enum class Operation {
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kFloorDivide,
    kModulo,
    kPower,
  };
  Operation operation;
  ExpressionPtr left;
  ExpressionPtr right;
};

/// left and right, left or right
struct Logical {
  bool is_or = false;
  ExpressionPtr left;
  ExpressionPtr right;
};

/// a ~ b ~ c
struct Concatenation {
  std::vector<ExpressionPtr> parts;
};

/// a < b <= c
struct Comparison {
  enum class Operation {
    kEqual,
    kNotEqual,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kIn,
    kNotIn,
  };
  ExpressionPtr first;
  std::vector<std::pair<Operation, ExpressionPtr>> rest;
};

/// then if test else otherwise
struct Conditional {
  ExpressionPtr test;
  ExpressionPtr then;
  ExpressionPtr otherwise; // may be null
};

struct Attribute {
  ExpressionPtr object;
  std::string name;
};

struct Item {
  ExpressionPtr object;
  ExpressionPtr key;
};

struct Slice {
  ExpressionPtr object;
  ExpressionPtr start; // bounds and step are null if left out
  ExpressionPtr stop;
  ExpressionPtr step;
};

/// Arguments of a call: a, name=a, *a, **a.
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional; // *a, or null
  ExpressionPtr more_named; // **a, or null
};

struct Call {
  ExpressionPtr callee;
  CallArguments arguments;
};

/// operand | name(arguments)
struct FilterCall {
  std::string name;
  const Builtin* filter; // null if there is none of that name
  ExpressionPtr operand; // null: the text of the block around it
  CallArguments arguments;
};

/// operand is name(arguments)
struct TestCall {
  std::string name;
  const Builtin* test; // null if there is none of that name
  ExpressionPtr operand;
  CallArguments arguments;
};

struct Expression {
  std::variant<
      Constant,
      Name,
      ListLiteral,
      DictLiteral,
      Unary,
      Binary,
      Logical,
      Concatenation,
      Comparison,
      Conditional,
      Attribute,
      Item,
      Slice,
      Call,
      FilterCall,
      TestCall>
      node;
  int line = 0;
  int depth = 1; // levels of nested expressions
};

} // namespace accrue::jinja
