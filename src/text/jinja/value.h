// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "io/json.h"

// Values of templates: those of Python's types that a template can make.

namespace accrue::jinja {

class Runtime;
class Value;
struct Arguments;

/// Maximum length of a text that a template makes, also of the whole output.
inline constexpr size_t kMaxTextBytes = size_t{64} << 20;
/// Maximum levels of lists within lists.
inline constexpr int kMaxDepth = 200;
/// Maximum number of values within a list at any level. Shared values count
/// each time, and texts count by their length.
inline constexpr uint64_t kMaxWeight = 2'000'000;
inline constexpr size_t kBytesPerWeight = 64;
/// Fails if a list of this many values would be too long.
void check_weight(uint64_t weight);

/// Error of an operation on values. The render adds the template and the line.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
[[noreturn]] void fail(const std::string& message);

/// Error that raise_exception() throws, with its message.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Type of a value.
enum class Type {
  kUndefined,
  kNone,
  kBool,
  kInteger,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView, // dict.keys(), values(), items()
  kIterator, // results of map(), select(), …, read only once
  kObject, // namespaces, functions, macros, loops, …
};

/// Base class of all values that copies share.
struct Object {
  explicit Object(Type which) : type(which) {}
  virtual ~Object() = default;

  /// Name of the class in Python.
  virtual std::string type_name() const = 0;
  virtual std::optional<Value> attribute(const std::string& name);
  virtual bool is_callable() const {
    return false;
  }
  /// Python's len(), for objects that have it.
  virtual std::optional<int64_t> length() const {
    return std::nullopt;
  }
  virtual Value call(Runtime& runtime, Arguments arguments);
  /// Python's str() and repr() of an object that is neither text nor container.
  virtual std::string describe() const;

  /// Updates depth and weight for a value that this object now holds. Fails
  /// past the limits.
  void hold(const Value& value);

  const Type type;
  int depth = 1;
  uint64_t weight = 1;
};

/// A value of a template. Copies share texts and objects.
class Value {
 public:
  Value() = default; // None
  Value(bool value) : data_(value) {}
  Value(int value) : data_(int64_t{value}) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string text);
  Value(const char* text) : Value(std::string(text)) {}
  template <class T>
  Value(std::shared_ptr<T> object)
      : data_(std::shared_ptr<Object>(std::move(object))) {}

  /// Makes an undefined value. `message` is that of the error when it is used.
  static Value undefined(std::string message);
  /// Makes a string that HTML escaping leaves alone: markupsafe.Markup.
  static Value markup(std::string text);
  /// Converts JSON. Fails if a string is not UTF-8 or an integer is beyond 64
  /// bits.
  static Value from_json(const io::OrderedJson& json);

  Type type() const;
  bool is(Type which) const {
    return type() == which;
  }
  bool is_undefined() const {
    return is(Type::kUndefined);
  }
  bool is_none() const {
    return is(Type::kNone);
  }
  bool is_string() const {
    return is(Type::kString);
  }
  /// Returns true for an integer or a bool, which is an integer, too.
  bool is_integral() const {
    return is(Type::kBool) || is(Type::kInteger);
  }
  bool is_number() const {
    return is_integral() || is(Type::kFloat);
  }
  bool is_markup() const;

  int64_t integer() const; // of a bool or an integer
  double number() const; // of any number
  const std::string& text() const; // of a string
  const std::vector<Value>& items() const; // of a list or tuple
  template <class T>
  T& as() const {
    return static_cast<T&>(*std::get<std::shared_ptr<Object>>(data_));
  }
  template <class T>
  std::shared_ptr<T> share() const {
    return std::static_pointer_cast<T>(
        std::get<std::shared_ptr<Object>>(data_));
  }

  bool truth() const;
  std::string type_name() const;
  /// Returns true for the same object, or for equal values of the same simple
  /// type.
  bool is_same(const Value& other) const;

 private:
  friend struct Object;
  struct Text {
    std::string text;
    bool markup = false;
  };

  std::variant<
      std::monostate,
      bool,
      int64_t,
      double,
      std::shared_ptr<const Text>,
      std::shared_ptr<Object>>
      data_;
};

} // namespace accrue::jinja
