#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace accrue::memory {

/// A way of working that gives way when memory runs out, and is taken up again
/// after some windows without an incident: twice as many each time that it
/// does not last.
template <class T>
class Retreat {
 public:
  explicit Retreat(T way = {}) : now_(std::move(way)) {}

  const T& now() const {
    return now_;
  }

  void to(T smaller) {
    patience_ *= larger_.empty() ? 2 : 1;
    larger_.push_back(std::exchange(now_, std::move(smaller)));
    calm_ = 0;
  }

  /// A window went well.
  void window_done() {
    if (!larger_.empty() && ++calm_ >= patience_) {
      now_ = std::move(larger_.back());
      larger_.pop_back();
      calm_ = 0;
    }
  }

 private:
  T now_;
  std::vector<T> larger_; // what it was before memory ran out
  int64_t patience_ = 4; // 8 windows for the first time
  int64_t calm_ = 0;
};

} // namespace accrue::memory
