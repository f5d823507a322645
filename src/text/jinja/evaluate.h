// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/jinja/objects.h"
#include "text/jinja/scope.h"
#include "text/jinja/statements.h"

namespace accrue::jinja {

/// Evaluates the tree of a template once.
class Evaluator {
 public:
  /// `context` is a dict of the names that the template is given.
  Evaluator(Runtime& runtime, Value context);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  std::string run(const Body& body);

  /// Line of the expression or statement that was evaluated last.
  int line() const {
    return line_;
  }
  /// Ranges of the output that generation blocks wrote.
  const std::vector<std::pair<size_t, size_t>>& generated() const {
    return generated_;
  }

 private:
  friend class MacroObject;
  friend class LoopObject;

  /// The way in which a block ended.
  enum class Flow { kNormal, kBreak, kContinue };
  /// Counts levels of recursion. Fails past the limit.
  class Level;
  /// Enters a new scope within `parent` until the end of the C++ block.
  class InnerScope;

  Value evaluate(const Expression& expression);
  Value evaluate_node(const Constant& node);
  Value evaluate_node(const Name& node);
  Value evaluate_node(const ListLiteral& node);
  Value evaluate_node(const DictLiteral& node);
  Value evaluate_node(const Unary& node);
  Value evaluate_node(const Binary& node);
  Value evaluate_node(const Logical& node);
  Value evaluate_node(const Concatenation& node);
  Value evaluate_node(const Comparison& node);
  Value evaluate_node(const Conditional& node);
  Value evaluate_node(const Attribute& node);
  Value evaluate_node(const Item& node);
  Value evaluate_node(const Slice& node);
  Value evaluate_node(const Call& node);
  Value evaluate_node(const FilterCall& node);
  Value evaluate_node(const TestCall& node);
  Arguments evaluate_arguments(const CallArguments& arguments);
  Value call(const Call& node, Arguments more);

  Flow execute(const Block& block);
  Flow execute_node(const Text& node);
  Flow execute_node(const Output& node);
  Flow execute_node(const If& node);
  Flow execute_node(const For& node);
  Flow execute_node(const Set& node);
  Flow execute_node(const SetBlock& node);
  Flow execute_node(const Macro& node);
  Flow execute_node(const CallBlock& node);
  Flow execute_node(const FilterBlock& node);
  Flow execute_node(const With& node);
  Flow execute_node(const Generation& node);
  Flow execute_node(const Break& node);
  Flow execute_node(const Continue& node);

  /// Makes the names that `body` hides undefined, then executes it.
  Flow execute_body(const Body& body);
  Flow run_loop(const For& node, const Value& iterable, int depth);
  Next select_items(const For& node, Next all);
  void write(const std::string& text);
  /// Executes `body` in the current scope and returns what it writes.
  template <class Run>
  std::string capture(Run run);
  Value make_macro(const MacroDefinition& definition);

  Value look_up(const std::string& name);
  void assign(const Target& target, const Value& value);
  void check_namespaces(const Target& target);

  Runtime& runtime_;
  Value context_;
  ScopePtr scope_ = std::make_shared<Scope>();
  std::vector<ScopePtr> captured_; // cleared at the end: may form cycles
  std::string output_;
  std::string* target_ = &output_; // text that is written to
  Value filter_input_;
  std::vector<std::pair<size_t, size_t>> generated_;
  int line_ = 1;
  int level_ = 0;
};

} // namespace accrue::jinja
