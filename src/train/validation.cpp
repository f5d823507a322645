#include "train/validation.h"

#include <fmt/format.h>

#include <cmath>

#include "io/files.h"
#include "io/json.h"
#include "train/checkpoint.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNote = "best.json"; // step and validation loss

} // namespace

Validation::Validation(Task& task, const fs::path& out)
    : task_(task), folder_(out / "best") {}

/// A loss that is not a number is no improvement.
bool Validation::improves(const report::StepMetrics& metrics) {
  if (!metrics.valid_loss) {
    return false;
  }
  bool better = best_ ? *metrics.valid_loss < best_->loss
                      : !std::isnan(*metrics.valid_loss);
  if (better) {
    best_ = {metrics.step, *metrics.valid_loss};
  }
  since_best_ = better ? 0 : since_best_ + 1;
  return better;
}

void Validation::recall(const report::StepMetrics& metrics) {
  improves(metrics);
}

void Validation::note(const report::StepMetrics& metrics) {
  if (!improves(metrics) || !task_.options().keep_best) {
    return;
  }
  io::replace_directory(folder_, [&](const fs::path& folder) {
    save_weights(folder, task_.model(), task_.source());
    io::OrderedJson note;
    note["step"] = best_->step;
    note["valid_loss"] = best_->loss;
    io::write_file(folder / kNote, note.dump(2) + "\n");
  });
}

bool Validation::stops() const {
  const auto& patience = task_.options().patience;
  return patience && since_best_ >= *patience;
}

std::string Validation::restore_best() {
  if (!fs::exists(folder_ / kNote)) {
    return "warning: no model was kept as the best; the model is the last one";
  }
  const io::Json note = io::read_json(folder_ / kNote);
  load_weights(folder_, task_.model());
  const auto step = note.value("step", int64_t{0});
  std::string text = fmt::format(
      "best         the model is that of step {}, validation loss {:.4f}",
      step,
      note.value("valid_loss", 0.0));
  if (best_ && best_->step < step) {
    text += " (a step that this run has not repeated yet)";
  } else if (best_ && best_->step != step) {
    text += fmt::format(
        "; that of step {}, {:.4f}, was not kept", best_->step, best_->loss);
  }
  return text;
}

} // namespace accrue
