// SPDX-License-Identifier: Apache-2.0
#include "run/interrupt.h"

#include <unistd.h>

namespace accrue {
namespace {

volatile std::sig_atomic_t g_signal = 0;
volatile std::sig_atomic_t g_quiet = 0;

void note(int signal) {
  g_signal = signal;
  constexpr char kNotice[] =
      "\nfinishing this step, then saving (again to stop at once)\n";
  if (g_quiet == 0) {
    // write() is one of the few calls allowed in a handler.
    [[maybe_unused]] auto written = write(2, kNotice, sizeof kNotice - 1);
  }
}

} // namespace

InterruptGuard::InterruptGuard(bool quiet) {
  g_signal = 0;
  g_quiet = quiet ? 1 : 0;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, &previous_interrupt_);
  sigaction(SIGTERM, &action, &previous_terminate_);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &previous_interrupt_, nullptr);
  sigaction(SIGTERM, &previous_terminate_, nullptr);
}

int InterruptGuard::signal() const {
  return g_signal;
}

} // namespace accrue
