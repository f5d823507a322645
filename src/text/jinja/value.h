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

// Values of templates: those of Python that a template can make.

namespace accrue::jinja {

class Runtime;
class Value;
struct Arguments;

/// Longest text that a template may make, the whole output included.
inline constexpr size_t kMaxTextBytes = size_t{64} << 20;
/// Levels of lists within lists.
inline constexpr int kMaxDepth = 200;
/// Values in a list and all that it holds, shared ones counted each time, texts
/// by their length.
inline constexpr uint64_t kMaxWeight = 2'000'000;
inline constexpr size_t kBytesPerWeight = 64;
/// Fails if a list of so many values would be too long.
void check_weight(uint64_t weight);

/// Thrown by operations on values; the render adds template and line.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
[[noreturn]] void fail(const std::string& message);

/// Thrown by raise_exception(), with its message.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

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
  kIterator, // what map(), select(), … return: can be read once
  kObject, // namespaces, functions, macros, loops, …
};

/// Base of all values that copies share.
struct Object {
  explicit Object(Type which) : type(which) {}
  virtual ~Object() = default;

  /// Python's name of the class.
  virtual std::string type_name() const = 0;
  virtual std::optional<Value> attribute(const std::string& name);
  virtual bool is_callable() const {
    return false;
  }
  /// len(), of an object that has it.
  virtual std::optional<int64_t> length() const {
    return std::nullopt;
  }
  virtual Value call(Runtime& runtime, Arguments arguments);
  /// str() and repr() of what is neither text nor container.
  virtual std::string describe() const;

  /// Raises depth and weight for a value held here. Fails past the limits.
  void hold(const Value& value);

  const Type type;
  int depth = 1;
  uint64_t weight = 1;
};

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

  /// `message` is what using it fails with.
  static Value undefined(std::string message);
  /// A string that HTML escaping leaves alone: markupsafe.Markup.
  static Value markup(std::string text);
  /// Fails if a string is not UTF-8 or an integer is beyond 64 bits.
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
  /// A bool is an integer, too.
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
  /// Same object, or equal and of the same simple type.
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
