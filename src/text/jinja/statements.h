#pragma once

#include "text/jinja/ast.h"

namespace accrue::jinja {

/// A block with variables of its own.
struct Body {
  Block block;
  /// Names that are set here before anything reads them: until then they are
  /// undefined, whatever the render was given under these names.
  std::shared_ptr<const std::vector<std::string>> hidden;
};

/// Left side of an assignment: a name, an attribute of a namespace, or several.
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
  std::vector<ExpressionPtr> defaults; // of the last parameters
  Body body;
  // Special names that the body reads.
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

/// Text that the model is to learn to write.
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
