// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>
#include <type_traits>

#include "accrue/core/error.h"
#include "io/json.h"

namespace accrue {

/// Reads fields one by one. Remembers problems and which fields were read.
class Fields {
 public:
  Fields(const io::Json& json, Problems& problems)
      : json_(json), problems_(problems) {}

  int64_t required_size(const char* name) {
    require(name);
    return get<int64_t>(name, 0);
  }

  double required_number(const char* name) {
    require(name);
    return get(name, 1.0);
  }

  template <class T>
  T get(const char* name, T fallback) {
    used_.insert(name);
    auto it = json_.find(name);
    if (it == json_.end() || it->is_null()) {
      return fallback;
    }
    if (!is<T>(*it)) {
      problems_.add(fmt::format(
          "\"{}\" must be {}, got {}", name, wanted<T>(), it->dump()));
      return fallback;
    }
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      if (it->template get<double>() <= 0) {
        problems_.add(
            fmt::format("\"{}\" must be > 0, got {}", name, it->dump()));
        return fallback;
      }
    }
    return it->template get<T>();
  }

  /// A field that accrue supports at one value only.
  void only(const char* name, const io::Json& value) {
    used_.insert(name);
    auto it = json_.find(name);
    if (it != json_.end() && !it->is_null() && *it != value) {
      problems_.add(fmt::format(
          "\"{}\": {} is not supported (only {})",
          name,
          it->dump(),
          value.is_null() ? "null" : value.dump()));
    }
  }

  void mark_used(const char* name) {
    used_.insert(name);
  }

  /// Adds a problem for every field that was not read and may change the
  /// result.
  void reject_unknown();

 private:
  void require(const char* name) {
    auto it = json_.find(name);
    if (it == json_.end() || it->is_null()) {
      problems_.add(fmt::format("\"{}\" is missing", name));
    }
  }

  template <class T>
  static bool is(const io::Json& value) {
    if constexpr (std::is_same_v<T, bool>) {
      return value.is_boolean();
    } else if constexpr (std::is_same_v<T, int64_t>) {
      return value.is_number_integer();
    } else if constexpr (std::is_same_v<T, double>) {
      return value.is_number();
    } else {
      return value.is_string();
    }
  }

  template <class T>
  static const char* wanted() {
    if constexpr (std::is_same_v<T, bool>) {
      return "true or false";
    } else if constexpr (std::is_same_v<T, int64_t>) {
      return "a whole number";
    } else if constexpr (std::is_same_v<T, double>) {
      return "a number";
    } else {
      return "a string";
    }
  }

  const io::Json& json_;
  Problems& problems_;
  std::set<std::string> used_;
};

} // namespace accrue
