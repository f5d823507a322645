// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "text/jinja/evaluate.h"

namespace accrue::jinja {

/// A macro with the variables around its definition. Valid during the render.
class MacroObject : public Object {
 public:
  MacroObject(
      Evaluator& evaluator,
      const MacroDefinition& definition,
      ScopePtr scope)
      : Object(Type::kObject),
        evaluator_(evaluator),
        definition_(definition),
        scope_(std::move(scope)) {}

  std::string type_name() const override {
    return "Macro";
  }
  std::string describe() const override;
  std::optional<Value> attribute(const std::string& name) override;
  bool is_callable() const override {
    return true;
  }
  /// Returns the text that the body writes.
  Value call(Runtime& runtime, Arguments arguments) override;

 private:
  using Values = std::vector<std::optional<Value>>;

  /// Takes the values of the parameters out of `arguments`; nullopt if not
  /// given.
  Values take_parameters(Arguments& arguments) const;
  /// Sets caller, kwargs and varargs if the body reads them.
  void set_special_names(Arguments& arguments) const;
  void set_parameters(Values values) const;

  Evaluator& evaluator_;
  const MacroDefinition& definition_;
  ScopePtr scope_;
};

} // namespace accrue::jinja
