// SPDX-License-Identifier: Apache-2.0
#include "run/validation.h"

#include <fmt/format.h>

#include <cmath>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "run/checkpoint.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNote = "best.json"; // step and validation loss

} // namespace

Validation::Validation(Task& task, const fs::path& out)
    : task_(task), folder_(out / "best") {}

bool Validation::is_regular(int64_t step) const {
  const int64_t every = task_.options().eval_every;
  return every > 0 && step % every == 0;
}

/// True if the loss is a number and the lowest so far.
bool Validation::improves(const report::StepMetrics& metrics) {
  if (!metrics.valid_loss ||
      (!is_regular(metrics.step) && metrics.step != task_.total_steps())) {
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
  if (!improves(metrics) || !task_.options().keep_best ||
      !is_regular(metrics.step)) {
    return;
  }
  io::replace_directory(folder_, [&](const fs::path& folder) {
    save_weights(folder, task_.model(), task_.source());
    io::OrderedJson note;
    note["step"] = best_->step;
    note["valid_loss"] = best_->loss;
    note["digest"] = digest_weights(folder, task_.model());
    io::write_file(folder / kNote, note.dump(2) + "\n");
  });
}

bool Validation::stops() const {
  const auto& patience = task_.options().patience;
  return patience && since_best_ >= *patience;
}

std::string Validation::restore_best(int64_t step) {
  if (!best_ || best_->step == step) {
    return "best         the model is that of the last step";
  }
  if (!fs::exists(folder_ / kNote)) {
    return fmt::format(
        "warning: the best model, that of step {}, was not kept; the model is "
        "that of the last step",
        best_->step);
  }
  const io::Json note = io::read_json(folder_ / kNote);
  if (note.value("digest", "") != digest_weights(folder_, task_.model())) {
    throw DataError(fmt::format(
        "[checkpoint] {} is damaged: its bytes are not those that were "
        "written. Remove it, and --resume writes the last model.",
        folder_.string()));
  }
  load_weights(folder_, task_.model());
  return fmt::format(
      "best         the model is that of step {}, validation loss {:.4f}",
      note.value("step", int64_t{0}),
      note.value("valid_loss", 0.0));
}

} // namespace accrue
