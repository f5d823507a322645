// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/progress.h"

namespace accrue {

/// Reports how many of the expected bytes are done.
class ByteProgress {
 public:
  /// `callback` may be empty, and must outlive this object.
  ByteProgress(const char* what, const ProgressCallback& callback)
      : what_(what), callback_(callback) {}

  void expect(uint64_t bytes) {
    total_ += bytes;
  }
  void add(uint64_t bytes) {
    done_ += bytes;
    if (callback_) {
      callback_(what_, done_, total_);
    }
  }

 private:
  const char* what_;
  const ProgressCallback& callback_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

} // namespace accrue
