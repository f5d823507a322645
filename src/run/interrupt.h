// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>

namespace accrue {

/// While alive, SIGINT and SIGTERM are noted instead of ending the process. A
/// second signal ends it at once.
class InterruptGuard {
 public:
  /// `quiet`: no notice on standard error.
  explicit InterruptGuard(bool quiet);
  /// Restores the handlers that were there before.
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// The signal received, or 0.
  int signal() const;

 private:
  struct sigaction previous_interrupt_ {};
  struct sigaction previous_terminate_ {};
};

} // namespace accrue
