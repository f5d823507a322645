// SPDX-License-Identifier: Apache-2.0
#include "run/run_directory.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "drive/out_of_memory.h"
#include "io/files.h"
#include "models/hf_folder.h"
#include "run/fit_table_file.h"

namespace accrue {

RunDirectory::RunDirectory(Task& task, report::Progress& progress)
    : task_(task),
      progress_(progress),
      out_(task.options().out),
      checkpoints_(out_ / "checkpoints", task.source()) {}

void RunDirectory::lock() {
  lock_.emplace(out_);
  if (!task_.options().resume && !is_unused(out_)) {
    throw ConfigError(fmt::format(
        "[config] another run began in --out {} in the meantime. Choose "
        "another folder, or pass --resume to go on with it.",
        out_.string()));
  }
}

void RunDirectory::check_lock() const {
  lock_->check();
}

RunInputs RunDirectory::inputs() const {
  RunInputs inputs{
      .num_samples = task_.train_set().size(),
      .numerics = task_.numerics(),
      .digests = {
          {"training_data", "the training data", task_.train_set().digest()}}};
  if (task_.valid_set() != nullptr) {
    inputs.digests.push_back(
        {"validation_data",
         "the validation data",
         task_.valid_set()->digest()});
  }
  if (task_.model().lora()) {
    inputs.digests.push_back(
        {"base_model",
         "the model's weights",
         digest_checkpoint(task_.source().base)});
  }
  for (const std::string& name : task_.objective().files()) {
    inputs.digests.push_back(
        {name, name, io::to_text(io::digest_file(out_ / name))});
  }
  return inputs;
}

Cursor RunDirectory::begin_or_resume(Optimizer& optimizer, int64_t tokens) {
  Cursor cursor;
  const bool asked = task_.options().resume;
  const bool resumes = asked && checkpoints_.any();
  if (asked && !resumes) {
    progress_.line("no checkpoint to resume from yet: beginning the run");
  }
  if (resumes) {
    inputs_ = inputs();
    std::vector<std::string> warnings;
    cursor =
        checkpoints_.load_newest(inputs_, task_.model(), optimizer, warnings);
    for (const std::string& warning : warnings) {
      progress_.line("warning: " + warning);
    }
    progress_.line(fmt::format("resuming after step {}", cursor.step));
  }
  prepare_objective(resumes, tokens);
  if (!resumes) {
    inputs_ = inputs(); // with the files that the objective has just written
  }
  return cursor;
}

void RunDirectory::prepare_objective(bool resumes, int64_t tokens) {
  drive::with_fewer_tokens(tokens, "a pair", [&](int64_t max_tokens) {
    task_.objective().prepare(
        {task_.model(),
         task_.datasets(),
         out_,
         resumes,
         max_tokens,
         progress_.callback()});
  });
}

void RunDirectory::write_settings(const drive::FitTable* table) const {
  io::write_file(out_ / "config.toml", to_toml(task_.options()));
  if (table != nullptr) {
    io::write_file(fit_table_path(task_.options()), to_json(task_, *table));
  }
}

bool RunDirectory::checkpoint_is_due(const Cursor& cursor) const {
  const int64_t every = task_.options().checkpoint_every;
  return every > 0 && cursor.step % every == 0;
}

void RunDirectory::save(const Cursor& cursor, const Optimizer& optimizer)
    const {
  checkpoints_.save(
      cursor,
      inputs_,
      task_.model(),
      optimizer,
      task_.options().keep_checkpoints);
}

} // namespace accrue
