// SPDX-License-Identifier: Apache-2.0
#include "report/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include "accrue/core/units.h"

namespace accrue::report {

using std::chrono::steady_clock;

std::string step_line(const StepMetrics& m, int64_t total_steps, double eta_s) {
  std::string total = fmt::format("{}", total_steps);
  std::string text = fmt::format(
      "step {:>{}}/{}  loss {:.4f}  lr {:.2e}  |g| {:.3f}  {} tok/s  {} x {}  "
      "peak {}",
      m.step,
      total.size(),
      total,
      m.loss,
      m.lr,
      m.grad_norm,
      format_count(m.tokens_per_s),
      m.accumulation_steps,
      m.micro_batch,
      format_bytes(m.peak_bytes));
  if (m.valid_loss) {
    text += fmt::format("  valid {:.4f}", *m.valid_loss);
  }
  if (m.valid_reward_margin && m.valid_reward_accuracy) {
    text += fmt::format(
        " (margin {:.3f}, accuracy {:.2f})",
        *m.valid_reward_margin,
        *m.valid_reward_accuracy);
  }
  if (m.reward_margin && m.reward_accuracy) {
    text += fmt::format(
        "  margin {:.3f}  accuracy {:.2f}",
        *m.reward_margin,
        *m.reward_accuracy);
  }
  if (m.skipped > 0) {
    text += fmt::format("  skipped {}", m.skipped);
  }
  if (m.rollbacks > 0) {
    text += fmt::format("  rollbacks {}", m.rollbacks);
  }
  return text + "  ETA " + format_duration(eta_s);
}

Progress::Progress(std::FILE* stream, bool quiet)
    : stream_(stream), quiet_(quiet), terminal_(isatty(fileno(stream)) != 0) {}

void Progress::clear() {
  if (update_shown_) {
    fmt::print(stream_, "\r\033[K");
    update_shown_ = false;
  }
}

void Progress::line(const std::string& text) {
  if (!quiet_) {
    clear();
    fmt::print(stream_, "{}\n", text);
    std::fflush(stream_);
  }
}

ProgressCallback Progress::callback() {
  return [this](const std::string& what, uint64_t done, uint64_t total) {
    update(what, done, total);
  };
}

void Progress::update(const std::string& what, uint64_t done, uint64_t total) {
  auto now = steady_clock::now();
  if (what != what_) {
    what_ = what;
    what_since_ = now;
  }
  if (quiet_ || !terminal_ || now < next_ || done == 0) {
    return;
  }
  next_ = now + std::chrono::milliseconds(200);
  double share = static_cast<double>(done) / static_cast<double>(total);
  std::chrono::duration<double> elapsed = now - what_since_;
  clear();
  fmt::print(
      stream_,
      "{}: {:.0f} %, ETA {}",
      what,
      100 * share,
      format_duration(elapsed.count() * (1 - share) / share));
  std::fflush(stream_);
  update_shown_ = true;
}

} // namespace accrue::report
