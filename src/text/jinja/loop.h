#pragma once

#include <memory>

#include "text/jinja/evaluate.h"

namespace accrue::jinja {

/// The variable `loop`.
class LoopObject : public Object,
                   public std::enable_shared_from_this<LoopObject> {
 public:
  /// `length` is absent if the items have to be counted.
  LoopObject(
      Evaluator& evaluator,
      const For& node,
      Next items,
      std::optional<int64_t> length,
      int depth0);

  /// Drops what the loop holds: a loop may outlive its end in a namespace.
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
  /// Renders the body of a recursive loop for other items.
  Value call(Runtime& runtime, Arguments arguments) override;

  /// The next item.
  std::optional<Value> advance();
  Value cycle(const std::vector<Value>& values) const;
  /// True if `value` differs from that of the last call.
  bool changed(const Value& value);

 private:
  const std::optional<Value>& peek() const;
  void end();

  Evaluator& evaluator_;
  const For& node_;
  ScopePtr scope_; // around the loop
  // Items are read ahead when the template asks for what comes next.
  mutable Next items_;
  mutable std::vector<Value> counted_; // read for the length, backwards
  mutable std::optional<std::optional<Value>> after_;
  mutable std::optional<int64_t> length_;
  Value before_;
  Value current_;
  std::optional<Value> last_changed_;
  int64_t index0_ = -1;
  int depth0_;
};

} // namespace accrue::jinja
