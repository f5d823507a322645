// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "text/jinja/evaluate.h"

namespace accrue::jinja {

/// The variable `loop`.
class LoopObject : public Object,
                   public std::enable_shared_from_this<LoopObject> {
 public:
  /// `length` is nullopt if the items have to be counted.
  LoopObject(
      Evaluator& evaluator,
      const For& node,
      Next items,
      std::optional<int64_t> length,
      int depth0);

  /// Clears the loop at the end of the C++ block: a namespace may keep the loop
  /// alive.
  class End {
   public:
    explicit End(LoopObject& loop) : loop_(loop) {}
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    ~End() {
      loop_.end();
    }

   private:
    LoopObject& loop_;
  };

  std::string type_name() const override {
    return "LoopContext";
  }
  std::string describe() const override;
  std::optional<Value> attribute(const std::string& name) override;
  std::optional<int64_t> length() const override;
  bool is_callable() const override {
    return true;
  }
  /// Renders the body of a recursive loop with other items.
  Value call(Runtime& runtime, Arguments arguments) override;

  /// Goes to the next item and returns it; nullopt at the end.
  std::optional<Value> advance();
  Value cycle(const std::vector<Value>& values) const;
  /// Returns true if `value` differs from that of the last call.
  bool changed(const Value& value);

 private:
  const std::optional<Value>& peek() const;
  void end();

  Evaluator& evaluator_;
  const For& node_;
  ScopePtr scope_; // scope around the loop
  // Items are read ahead if the template asks for later ones.
  mutable Next items_;
  mutable std::vector<Value> counted_; // items read to count them, last first
  mutable std::optional<std::optional<Value>> after_;
  mutable std::optional<int64_t> length_;
  Value before_;
  Value current_;
  std::optional<Value> last_changed_;
  int64_t index0_ = -1;
  int depth0_;
};

} // namespace accrue::jinja
