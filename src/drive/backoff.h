// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace accrue::drive {

/// A setting with exponential back-off: made smaller when memory runs out, and
/// restored after 8 clean windows; each time that the restored setting fails
/// again, after twice as many.
template <class T>
class Backoff {
 public:
  explicit Backoff(T setting = {}) : current_(std::move(setting)) {}

  const T& current() const {
    return current_;
  }

  void back_off(T smaller) {
    patience_ *= larger_.empty() ? 2 : 1;
    larger_.push_back(std::exchange(current_, std::move(smaller)));
    clean_windows_ = 0;
  }

  /// Call after every window that ended well.
  void on_success() {
    if (!larger_.empty() && ++clean_windows_ >= patience_) {
      current_ = std::move(larger_.back());
      larger_.pop_back();
      clean_windows_ = 0;
    }
  }

 private:
  T current_;
  std::vector<T> larger_; // settings before memory ran out
  int64_t patience_ = 4; // doubled before it is used
  int64_t clean_windows_ = 0;
};

} // namespace accrue::drive
