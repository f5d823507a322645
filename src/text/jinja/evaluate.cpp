// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/evaluate.h"

#include <fmt/format.h>

#include "text/jinja/evaluate_scope.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {

Value Evaluator::evaluate(const Expression& expression) {
  Level level(*this);
  line_ = expression.line;
  runtime_.spend(1);
  return std::visit(
      [this](const auto& node) { return evaluate_node(node); },
      expression.node);
}

Value Evaluator::evaluate_node(const Constant& node) {
  return node.value;
}

Value Evaluator::evaluate_node(const Name& node) {
  return look_up(node.name);
}

Value Evaluator::look_up(const std::string& name) {
  for (const Scope* scope = scope_.get(); scope != nullptr;
       scope = scope->parent.get()) {
    auto found = scope->variables.find(name);
    if (found != scope->variables.end()) {
      return found->second;
    }
  }
  if (const Value* value = context_.as<Dict>().find(name)) {
    return *value;
  }
  if (const Builtin* global = find_global(name)) {
    return std::make_shared<Function>(*global, Value());
  }
  if (name == "self" || name == "lipsum") {
    fail(fmt::format("'{}' is not supported in chat templates", name));
  }
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

Value Evaluator::evaluate_node(const ListLiteral& node) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const auto& item : node.items) {
    items.push_back(evaluate(*item));
  }
  return node.is_tuple ? make_tuple(std::move(items))
                       : make_list(std::move(items));
}

Value Evaluator::evaluate_node(const DictLiteral& node) {
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, value] : node.items) {
    Value made = evaluate(*key);
    dict->set(made, evaluate(*value));
  }
  return dict;
}

Value Evaluator::evaluate_node(const Unary& node) {
  Value operand = evaluate(*node.operand);
  switch (node.operation) {
    case Unary::Operation::kNot:
      return !operand.truth();
    case Unary::Operation::kMinus:
      return negate(operand);
    default:
      return affirm(operand);
  }
}

Value Evaluator::evaluate_node(const Binary& node) {
  Value left = evaluate(*node.left);
  Value right = evaluate(*node.right);
  Value result = calculate(node.operation, left, right);
  runtime_.spend_on(result);
  return result;
}

Value Evaluator::evaluate_node(const Logical& node) {
  Value left = evaluate(*node.left);
  return left.truth() == node.is_or ? left : evaluate(*node.right);
}

Value Evaluator::evaluate_node(const Concatenation& node) {
  std::string text;
  for (const auto& part : node.parts) {
    text += to_text(evaluate(*part));
    check_length(text.size());
  }
  Value result(std::move(text));
  runtime_.spend_on(result);
  return result;
}

Value Evaluator::evaluate_node(const Comparison& node) {
  Value left = evaluate(*node.first);
  for (const auto& [operation, operand] : node.rest) {
    Value right = evaluate(*operand);
    runtime_.spend_on(left);
    runtime_.spend_on(right);
    if (!compare(runtime_, operation, left, right)) {
      return false;
    }
    left = std::move(right);
  }
  return true;
}

Value Evaluator::evaluate_node(const Conditional& node) {
  if (evaluate(*node.test).truth()) {
    return evaluate(*node.then);
  }
  if (node.otherwise) {
    return evaluate(*node.otherwise);
  }
  return Value::undefined(
      "the inline if-expression evaluated to false and no else section was "
      "defined");
}

Value Evaluator::evaluate_node(const Attribute& node) {
  return get_attribute(evaluate(*node.object), node.name);
}

Value Evaluator::evaluate_node(const Item& node) {
  Value object = evaluate(*node.object);
  Value key = evaluate(*node.key);
  if (object.is_string()) {
    runtime_.spend_on(object); // looking up a character counts those before it
  }
  runtime_.spend_on(key);
  return get_item(object, key);
}

Value Evaluator::evaluate_node(const Slice& node) {
  auto bound = [this](const ExpressionPtr& expression) {
    return expression ? evaluate(*expression) : Value();
  };
  Value object = evaluate(*node.object);
  Value start = bound(node.start);
  Value stop = bound(node.stop);
  Value result = slice(object, start, stop, bound(node.step));
  runtime_.spend_on(object);
  return result;
}

Arguments Evaluator::evaluate_arguments(const CallArguments& given) {
  Arguments arguments;
  for (const auto& value : given.positional) {
    arguments.positional.push_back(evaluate(*value));
  }
  for (const auto& [name, value] : given.named) {
    arguments.named.emplace_back(name, evaluate(*value));
  }
  if (given.more_positional) {
    for (Value& value : to_vector(runtime_, evaluate(*given.more_positional))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (given.more_named) {
    Value more = evaluate(*given.more_named);
    if (!more.is(Type::kDict)) {
      fail(fmt::format("** needs a mapping, got '{}'", more.type_name()));
    }
    for (const auto& [name, value] : given.named) {
      if (more.as<Dict>().find(name) != nullptr) {
        fail(fmt::format("the argument '{}' is given twice", name));
      }
    }
    for (const auto& [key, value] : more.as<Dict>().entries()) {
      if (!key.is_string()) {
        fail("names of arguments must be strings");
      }
      arguments.named.emplace_back(key.text(), value);
    }
  }
  return arguments;
}

Value Evaluator::call(const Call& node, Arguments more) {
  Value callee = evaluate(*node.callee);
  Arguments arguments = evaluate_arguments(node.arguments);
  for (auto& named : more.named) {
    arguments.named.push_back(std::move(named));
  }
  switch (callee.type()) {
    case Type::kUndefined:
      fail(callee.as<Undefined>().message);
    case Type::kObject: {
      Value result = callee.as<Object>().call(runtime_, std::move(arguments));
      runtime_.spend_on(result);
      return result;
    }
    default:
      fail(fmt::format("'{}' object is not callable", callee.type_name()));
  }
}

Value Evaluator::evaluate_node(const Call& node) {
  return call(node, {});
}

Value Evaluator::evaluate_node(const FilterCall& node) {
  Value operand = node.operand ? evaluate(*node.operand) : filter_input_;
  if (node.filter == nullptr) {
    fail(fmt::format("there is no filter '{}'", node.name));
  }
  runtime_.spend_on(operand);
  Bound arguments(
      node.name, node.filter->signature, evaluate_arguments(node.arguments));
  Value result = node.filter->call(runtime_, operand, arguments);
  runtime_.spend_on(result);
  return result;
}

Value Evaluator::evaluate_node(const TestCall& node) {
  Value operand = evaluate(*node.operand);
  if (node.test == nullptr) {
    fail(fmt::format("there is no test '{}'", node.name));
  }
  Bound arguments(
      node.name, node.test->signature, evaluate_arguments(node.arguments));
  runtime_.spend_on(operand);
  return node.test->call(runtime_, operand, arguments);
}

} // namespace accrue::jinja
