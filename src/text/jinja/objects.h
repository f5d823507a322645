// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>
#include <functional>

#include "text/jinja/containers.h"

namespace accrue::jinja {

/// Value of a name, attribute or item that does not exist.
struct Undefined : Object {
  explicit Undefined(std::string text)
      : Object(Type::kUndefined), message(std::move(text)) {}
  std::string type_name() const override {
    return "Undefined";
  }
  /// Message of the error that any use of this value causes.
  std::string message;
};

/// Python's range.
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

/// dict.keys(), dict.values() or dict.items().
struct View : Object {
  enum class Part { kKeys, kValues, kItems };
  View(std::shared_ptr<Dict> source, Part what);
  std::string type_name() const override;
  Value at(size_t index) const;
  std::shared_ptr<Dict> dict;
  Part part;
};

/// Returns the next item; nullopt at the end.
using Next = std::function<std::optional<Value>()>;

/// An iterator, which can be read once.
class Iterator : public Object {
 public:
  /// `sources` are the values that `next` refers to.
  Iterator(const std::vector<Value>& sources, Next next);
  std::string type_name() const override {
    return "generator";
  }
  /// Returns the next item. Fails if `next` calls it again.
  std::optional<Value> next();

 private:
  Next next_;
  bool running_ = false;
};

/// Jinja's namespace: an object whose attributes a template may set.
struct Namespace : Object {
  Namespace() : Object(Type::kObject) {}
  std::string type_name() const override {
    return "namespace";
  }
  std::optional<Value> attribute(const std::string& name) override;
  std::string describe() const override;
  /// Sets an attribute. Fails if the name begins with an underscore.
  void set(const std::string& name, Value value);
  std::unordered_map<std::string, Value> attributes;
};

/// Arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Arguments in the order of the parameters of a signature.
class Bound {
 public:
  /// `signature`: names of parameters in order. "?" follows optional ones, "*"
  /// at the end allows any further arguments, "/" at the start forbids passing
  /// arguments by name.
  Bound(std::string_view function, std::string_view signature, Arguments given);

  bool has(size_t i) const {
    return i < values_.size() && values_[i].has_value();
  }
  const Value& operator[](size_t i) const {
    return *values_[i];
  }
  Value get(size_t i, Value fallback) const {
    if (has(i)) {
      return *values_[i];
    }
    return fallback;
  }
  bool is_none_or_absent(size_t i) const {
    return !has(i) || values_[i]->is_none();
  }
  /// Return an argument. Fail if it has another type.
  int64_t integer(size_t i) const;
  int64_t integer(size_t i, int64_t fallback) const {
    return has(i) ? integer(i) : fallback;
  }
  const std::string& text(size_t i) const;
  bool truth(size_t i, bool fallback) const {
    return has(i) ? values_[i]->truth() : fallback;
  }
  /// Further arguments that the "*" of the signature allows.
  const Arguments& rest() const {
    return rest_;
  }

 private:
  [[noreturn]] void fail_type(size_t i, const char* wanted) const;

  std::string_view function_;
  std::vector<std::optional<Value>> values_;
  Arguments rest_;
};

/// A filter, a test, a method or a function. `self` is the value that a filter,
/// test or method is applied to.
struct Builtin {
  std::string_view name;
  std::string_view signature;
  Value (*call)(Runtime& runtime, const Value& self, const Bound& arguments);
};

/// A builtin as a value; for a method with its object.
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

/// Return null if there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
const Builtin* find_method(Type type, std::string_view name);

/// State of one render that builtins share: the limits and the time.
class Runtime {
 public:
  explicit Runtime(const std::tm& time) : now(time) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  /// Counts work. Fails past the limit.
  void spend(uint64_t steps);
  /// Counts the work of visiting all of `value`.
  void spend_on(const Value& value);

  /// Makes a namespace. It is cleared when the render ends, because it may
  /// contain itself.
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
