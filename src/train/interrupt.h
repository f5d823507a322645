#pragma once

namespace accrue {

/// While alive, SIGINT and SIGTERM are noted instead of ending the process. A
/// second signal ends it at once.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// The signal received, or 0.
  int signal() const;
};

} // namespace accrue
