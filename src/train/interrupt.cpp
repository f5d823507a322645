#include "train/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace accrue {
namespace {

volatile std::sig_atomic_t g_signal = 0;

void note(int signal) {
  g_signal = signal;
  constexpr char kNotice[] =
      "\nfinishing this step, then saving (again to stop at once)\n";
  // write() is one of the few calls allowed in a handler.
  [[maybe_unused]] auto written = write(2, kNotice, sizeof kNotice - 1);
}

void install(void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

} // namespace

InterruptGuard::InterruptGuard() {
  g_signal = 0;
  install(note, SA_RESETHAND | SA_RESTART);
}

InterruptGuard::~InterruptGuard() {
  install(SIG_DFL, 0);
}

int InterruptGuard::signal() const {
  return g_signal;
}

} // namespace accrue
