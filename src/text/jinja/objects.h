#pragma once

#include <ctime>
#include <functional>

#include "text/jinja/containers.h"

namespace accrue::jinja {

struct Undefined : Object {
  explicit Undefined(std::string text)
      : Object(Type::kUndefined), message(std::move(text)) {}
  std::string type_name() const override {
    return "Undefined";
  }
  /// Error that any use of this ends in.
  std::string message;
};

struct Range : Object {
  Range(int64_t start, int64_t stop, int64_t step);
  std::string type_name() const override {
    return "range";
  }
  std::optional<Value> attribute(const std::string& name) override;
  int64_t at(int64_t index) const {
    return start + index * step;
  }
  int64_t start;
  int64_t stop;
  int64_t step;
  int64_t length;
};

struct View : Object {
  enum class Part { kKeys, kValues, kItems };
  View(std::shared_ptr<Dict> source, Part what);
  std::string type_name() const override;
  Value at(size_t index) const;
  std::shared_ptr<Dict> dict;
  Part part;
};

using Next = std::function<std::optional<Value>()>;

class Iterator : public Object {
 public:
  /// `sources`: values that `next` holds.
  Iterator(const std::vector<Value>& sources, Next next);
  std::string type_name() const override {
    return "generator";
  }
  /// Fails if it is called by what it calls.
  std::optional<Value> next();

 private:
  Next next_;
  bool running_ = false;
};

struct Namespace : Object {
  Namespace() : Object(Type::kObject) {}
  std::string type_name() const override {
    return "namespace";
  }
  std::optional<Value> attribute(const std::string& name) override;
  std::string describe() const override;
  /// Fails if the name begins with an underscore.
  void set(const std::string& name, Value value);
  std::unordered_map<std::string, Value> attributes;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Arguments in the order of a signature.
class Bound {
 public:
  /// `signature`: names in order, "?" after the optional ones, "*" at the end
  /// if any others may follow, "/" at the start if none may be named.
  Bound(std::string_view function, std::string_view signature, Arguments given);

  bool has(size_t i) const {
    return i < values_.size() && values_[i].has_value();
  }
  const Value& operator[](size_t i) const {
    return *values_[i];
  }
  Value get(size_t i, Value fallback) const {
    return has(i) ? *values_[i] : std::move(fallback);
  }
  bool is_none_or_absent(size_t i) const {
    return !has(i) || values_[i]->is_none();
  }
  /// Fail if it is of another type.
  int64_t integer(size_t i) const;
  int64_t integer(size_t i, int64_t fallback) const {
    return has(i) ? integer(i) : fallback;
  }
  const std::string& text(size_t i) const;
  bool truth(size_t i, bool fallback) const {
    return has(i) ? values_[i]->truth() : fallback;
  }
  /// Arguments that the signature's "*" took.
  const Arguments& rest() const {
    return rest_;
  }

 private:
  [[noreturn]] void fail_type(size_t i, const char* wanted) const;

  std::string_view function_;
  std::vector<std::optional<Value>> values_;
  Arguments rest_;
};

/// A filter, a test, a method or a function. `self` is what a filter, test or
/// method is applied to.
struct Builtin {
  std::string_view name;
  std::string_view signature;
  Value (*call)(Runtime& runtime, const Value& self, const Bound& arguments);
};

struct Function : Object {
  Function(const Builtin& builtin, Value self);
  std::string type_name() const override {
    return "builtin_function_or_method";
  }
  bool is_callable() const override {
    return true;
  }
  std::optional<Value> attribute(const std::string& name) override;
  Value call(Runtime& runtime, Arguments arguments) override;
  std::string describe() const override;

  const Builtin& builtin;
  Value self;
};

/// Null if there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
const Builtin* find_method(Type type, std::string_view name);

/// State of one render that builtins share: its limits and its time.
class Runtime {
 public:
  explicit Runtime(const std::tm& time) : now(time) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  /// Counts work. Fails past the limit.
  void spend(uint64_t steps);
  /// Counts the work of looking at all of `value`.
  void spend_on(const Value& value);

  /// Namespaces may hold themselves: they are emptied when the render ends.
  std::shared_ptr<Namespace> make_namespace();

  const std::tm now; // local time

 private:
  uint64_t steps_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

/// Python's iter(). Fails if `value` is not iterable.
Next iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
std::vector<Value> to_vector(Runtime& runtime, const Value& value);
/// Python's reversed().
Next iterate_back(Runtime& runtime, const Value& value);

} // namespace accrue::jinja
