// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "text/jinja/ast.h"

namespace accrue::jinja {

/// A block with variables of its own.
struct Body {
  Block block;
  /// Names that are set here before they are read. They are undefined until
  /// then, even if the render was given values for them.
  std::shared_ptr<const std::vector<std::string>> hidden;
};

/// Left side of an assignment: a name, an attribute of a namespace, or a tuple.
struct Target {
  std::string name;
  std::string attribute; // empty: the name itself
  std::vector<Target> parts; // of a tuple
  bool is_tuple = false;
};

struct Text {
  std::string text;
};

struct Output {
  ExpressionPtr value;
};

struct If {
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  Block otherwise;
};

struct For {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr test; // may be null
  bool recursive = false;
  Body body;
  Body otherwise;
};

struct Set {
  Target target;
  ExpressionPtr value;
};

struct SetBlock {
  Target target;
  ExpressionPtr filter; // may be null
  Body body;
};

/// Parameters and body of a macro, or of a call block.
struct MacroDefinition {
  std::string name; // empty for a call block
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults; // for the last parameters
  Body body;
  // Whether the body reads these special names.
  bool reads_caller = false;
  bool reads_kwargs = false;
  bool reads_varargs = false;
};

struct Macro {
  MacroDefinition definition;
};

struct CallBlock {
  ExpressionPtr call; // a Call
  MacroDefinition caller;
};

struct FilterBlock {
  ExpressionPtr filter; // a FilterCall
  Body body;
};

struct With {
  std::vector<std::pair<Target, ExpressionPtr>> values;
  Body body;
};

/// Text that a model learns to write: {% generation %}.
struct Generation {
  MacroDefinition content;
};

struct Break {};
struct Continue {};

struct Statement {
  std::variant<
      Text,
      Output,
      If,
      For,
      Set,
      SetBlock,
      Macro,
      CallBlock,
      FilterBlock,
      With,
      Generation,
      Break,
      Continue>
      node;
  int line = 0;
};

} // namespace accrue::jinja
