// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "text/jinja/evaluate_scope.h"
#include "text/jinja/loop.h"
#include "text/jinja/macro.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {

Evaluator::Evaluator(Runtime& runtime, Value context)
    : runtime_(runtime), context_(std::move(context)) {}

Evaluator::~Evaluator() {
  for (ScopePtr& scope : captured_) {
    scope->variables.clear();
    scope->parent.reset();
  }
}

std::string Evaluator::run(const Body& body) {
  execute_body(body);
  return std::move(output_);
}

Evaluator::Flow Evaluator::execute_body(const Body& body) {
  for (const std::string& name : *body.hidden) {
    scope_->variables.emplace(
        name, Value::undefined(fmt::format("'{}' is undefined", name)));
  }
  return execute(body.block);
}

Evaluator::Flow Evaluator::execute(const Block& block) {
  Level level(*this);
  for (const Statement& statement : block) {
    line_ = statement.line;
    runtime_.spend(1);
    Flow flow = std::visit(
        [this](const auto& node) { return execute_node(node); },
        statement.node);
    if (flow != Flow::kNormal) {
      return flow;
    }
  }
  return Flow::kNormal;
}

void Evaluator::write(const std::string& text) {
  check_length(target_->size() + text.size());
  *target_ += text;
}

Evaluator::Flow Evaluator::execute_node(const Text& node) {
  write(node.text);
  return Flow::kNormal;
}

Evaluator::Flow Evaluator::execute_node(const Output& node) {
  Value value = evaluate(*node.value);
  runtime_.spend_on(value);
  write(to_text(value));
  return Flow::kNormal;
}

Evaluator::Flow Evaluator::execute_node(const If& node) {
  for (const auto& [test, block] : node.branches) {
    if (evaluate(*test).truth()) {
      return execute(block);
    }
  }
  return execute(node.otherwise);
}

Evaluator::Flow Evaluator::execute_node(const Break&) {
  return Flow::kBreak;
}

Evaluator::Flow Evaluator::execute_node(const Continue&) {
  return Flow::kContinue;
}

// ---- loops ------------------------------------------------------------------

Evaluator::Flow Evaluator::execute_node(const For& node) {
  Value iterable = evaluate(*node.iterable);
  if (!node.recursive) {
    return run_loop(node, iterable, 0);
  }
  write(capture([&] { run_loop(node, iterable, 0); }));
  return Flow::kNormal;
}

/// Returns the items that pass the test of a loop. Each is tested when it is
/// asked for.
Next Evaluator::select_items(const For& node, Next all) {
  return [this,
          &node,
          all = std::move(all),
          parent = scope_]() -> std::optional<Value> {
    while (auto item = all()) {
      InnerScope inner(*this, parent);
      assign(node.target, *item);
      if (evaluate(*node.test).truth()) {
        return item;
      }
    }
    return std::nullopt;
  };
}

Evaluator::Flow Evaluator::run_loop(
    const For& node,
    const Value& iterable,
    int depth) {
  Next items = iterate(runtime_, iterable);
  auto length = length_of(iterable);
  if (node.test) {
    items = select_items(node, std::move(items));
    length.reset();
  }
  auto loop = std::make_shared<LoopObject>(
      *this, node, std::move(items), length, depth);
  LoopObject::End end(*loop);
  bool completed = false; // an iteration reached its end
  const ScopePtr parent = scope_;
  while (auto item = loop->advance()) {
    InnerScope inner(*this, parent);
    assign(node.target, *item);
    scope_->variables["loop"] = loop;
    Flow flow = execute_body(node.body);
    if (flow == Flow::kBreak) {
      break;
    }
    completed = completed || flow == Flow::kNormal;
  }
  if (completed || node.otherwise.block.empty()) {
    return Flow::kNormal;
  }
  InnerScope inner(*this, parent);
  return execute_body(node.otherwise);
}

// ---- assignments ------------------------------------------------------------

void Evaluator::check_namespaces(const Target& target) {
  for (const Target& part : target.parts) {
    check_namespaces(part);
  }
  if (!target.attribute.empty()) {
    Value space = look_up(target.name);
    if (!space.is(Type::kObject) ||
        dynamic_cast<Namespace*>(&space.as<Object>()) == nullptr) {
      fail(fmt::format(
          "can't set {}.{}: '{}' is not a namespace",
          target.name,
          target.attribute,
          target.name));
    }
  }
}

void Evaluator::assign(const Target& target, const Value& value) {
  if (!target.is_tuple) {
    if (target.attribute.empty()) {
      scope_->variables[target.name] = value;
    } else {
      look_up(target.name).as<Namespace>().set(target.attribute, value);
    }
    return;
  }
  Next next = iterate(runtime_, value);
  std::vector<Value> values;
  while (auto item = next()) {
    values.push_back(std::move(*item));
    if (values.size() > target.parts.size()) {
      break;
    }
  }
  if (values.size() != target.parts.size()) {
    fail(fmt::format(
        "too {} values to unpack: expected {}",
        values.size() > target.parts.size() ? "many" : "few",
        target.parts.size()));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    assign(target.parts[i], values[i]);
  }
}

Evaluator::Flow Evaluator::execute_node(const Set& node) {
  check_namespaces(node.target);
  assign(node.target, evaluate(*node.value));
  return Flow::kNormal;
}

Evaluator::Flow Evaluator::execute_node(const SetBlock& node) {
  Flow flow = Flow::kNormal;
  Value value;
  {
    InnerScope inner(*this, scope_);
    std::string text = capture([&] { flow = execute_body(node.body); });
    if (flow != Flow::kNormal) {
      return flow;
    }
    if (node.filter) {
      filter_input_ = std::move(text);
      value = evaluate(*node.filter);
    } else {
      value = std::move(text);
    }
  }
  check_namespaces(node.target);
  assign(node.target, value);
  return flow;
}

Evaluator::Flow Evaluator::execute_node(const With& node) {
  std::vector<Value> values;
  for (const auto& [target, value] : node.values) {
    values.push_back(evaluate(*value));
  }
  InnerScope inner(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) {
    assign(node.values[i].first, values[i]);
  }
  return execute_body(node.body);
}

Evaluator::Flow Evaluator::execute_node(const FilterBlock& node) {
  InnerScope inner(*this, scope_);
  Flow flow = Flow::kNormal;
  std::string text = capture([&] { flow = execute_body(node.body); });
  if (flow == Flow::kNormal) {
    filter_input_ = std::move(text);
    write(to_text(evaluate(*node.filter)));
  }
  return flow;
}

// ---- macros -----------------------------------------------------------------

Value Evaluator::make_macro(const MacroDefinition& definition) {
  if (!std::exchange(scope_->captured, true)) {
    captured_.push_back(scope_);
  }
  return std::make_shared<MacroObject>(*this, definition, scope_);
}

Evaluator::Flow Evaluator::execute_node(const Macro& node) {
  scope_->variables[node.definition.name] = make_macro(node.definition);
  return Flow::kNormal;
}

Evaluator::Flow Evaluator::execute_node(const CallBlock& node) {
  Arguments caller;
  caller.named.emplace_back("caller", make_macro(node.caller));
  write(to_text(call(std::get<Call>(node.call->node), std::move(caller))));
  return Flow::kNormal;
}

Evaluator::Flow Evaluator::execute_node(const Generation& node) {
  Value content = make_macro(node.content).as<MacroObject>().call(runtime_, {});
  // Offsets as in transformers: text that is being captured is not output yet.
  generated_.emplace_back(
      output_.size(), output_.size() + content.text().size());
  write(content.text());
  return Flow::kNormal;
}

} // namespace accrue::jinja
