// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "accrue/core/export.h"

namespace accrue {

/// Base of all exceptions that accrue throws on purpose. A message has a tag,
/// the rule, the value received and a way out:
///   [window] total weight must be > 0, got 0 (4 micro-batches). Check that ...
class ACCRUE_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Flags or settings that are wrong or contradict each other. Exit code 2.
class ACCRUE_API ConfigError : public Error {
 public:
  using Error::Error;
};

/// Files that are missing, damaged or of the wrong kind, or that can't be
/// written. Exit code 3.
class ACCRUE_API DataError : public Error {
 public:
  using Error::Error;
};

/// Not even one sample fits the memory budget. Exit code 4.
class ACCRUE_API MemoryError : public Error {
 public:
  using Error::Error;
};

/// A loss or gradient is NaN or infinite and the policy is `error`. Exit code
/// 1. The window that threw has changed neither parameters nor optimizer.
class ACCRUE_API NonFiniteError : public Error {
 public:
  explicit NonFiniteError(const std::string& message, int64_t micro_batch = -1)
      : Error(message), micro_batch_(micro_batch) {}

  /// Index in its window, from 0; -1 if the fault is not of one micro-batch.
  int64_t micro_batch() const {
    return micro_batch_;
  }

 private:
  int64_t micro_batch_;
};

/// Collects problems so that all of them are reported at once.
class ACCRUE_API Problems {
 public:
  void add(std::string problem) {
    list_.push_back(std::move(problem));
  }
  bool empty() const {
    return list_.empty();
  }

  /// Throws E with one line per problem if there is any.
  template <class E>
  void throw_if_any(const std::string& tag) const {
    if (!list_.empty()) {
      throw E(message(tag));
    }
  }

 private:
  std::string message(const std::string& tag) const;

  std::vector<std::string> list_;
};

} // namespace accrue
