// SPDX-License-Identifier: Apache-2.0
#include "run/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "accrue/core/error.h"
#include "accrue/io/safetensors.h"
#include "io/files.h"
#include "io/json.h"
#include "models/adapter.h"
#include "models/hf_folder.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 2;
constexpr const char* kManifest = "manifest.json";
constexpr const char* kState = "state.json";
constexpr const char* kOptimizer = "optimizer.safetensors";

/// All files of a checkpoint, those of the weights first.
std::array<const char*, 4> files_of(bool adapters) {
  return {
      adapters ? "adapter_config.json" : "config.json",
      adapters ? "adapter_model.safetensors" : "model.safetensors",
      kOptimizer,
      kState};
}

void write_manifest(const fs::path& folder, bool adapters) {
  io::OrderedJson manifest;
  for (const char* name : files_of(adapters)) {
    io::Digest digest = io::digest_file(folder / name);
    manifest[name] = {
        {"size_bytes", digest.size_bytes}, {"crc32", digest.crc32}};
  }
  io::write_file(folder / kManifest, manifest.dump(2) + "\n");
}

/// Throws DataError naming the first file that is not what was written.
void check_manifest(const fs::path& folder, bool adapters) {
  io::Json manifest = io::read_json(folder / kManifest);
  for (const char* name : files_of(adapters)) {
    io::Digest digest = io::digest_file(folder / name);
    io::Json want = {
        {"size_bytes", digest.size_bytes}, {"crc32", digest.crc32}};
    if (!manifest.is_object() || manifest.value(name, io::Json()) != want) {
      throw DataError(fmt::format(
          "[checkpoint] {} is damaged: its bytes are not those that were "
          "written.",
          (folder / name).string()));
    }
  }
}

/// The optimizer's state without its counts of missed updates: every parameter
/// of a model takes part in every update.
TensorMap state_of(const Optimizer& optimizer) {
  TensorMap state = optimizer.state();
  std::erase_if(state, [](const auto& named) {
    return named.first.ends_with(".missed");
  });
  return state;
}

/// Loads a checkpoint whose bytes are known to be good.
void load(
    const fs::path& folder,
    const io::Json& state,
    const RunInputs& inputs,
    Transformer& model,
    Optimizer& optimizer) {
  if (state.at("format") != kFormat) {
    throw DataError(fmt::format(
        "[checkpoint] {} has the format {}, this version reads {}. Resume with "
        "the version that wrote it.",
        folder.string(),
        state.at("format").dump(),
        kFormat));
  }
  auto saved_samples = state.at("num_samples").get<uint64_t>();
  if (saved_samples != inputs.num_samples) {
    throw DataError(fmt::format(
        "[checkpoint] {} was made on {} training samples, the data now gives "
        "{}. Restore the data to go on with this run.",
        folder.string(),
        saved_samples,
        inputs.num_samples));
  }
  const io::Json& saved = state.at("inputs");
  for (const RunInputs::Input& input : inputs.digests) {
    if (saved.value(input.id, saved.value(input.words, "")) != input.digest) {
      throw DataError(fmt::format(
          "[checkpoint] {} was made with other contents of {}. Restore them to "
          "go on with this run.",
          folder.string(),
          input.words));
    }
  }
  load_weights(folder, model);
  load_safetensors(folder / kOptimizer, state_of(optimizer));
  optimizer.set_steps(state.at("optimizer_steps").get<int64_t>());
}

} // namespace

void save_weights(
    const fs::path& folder,
    const Transformer& model,
    const ModelSource& source) {
  if (model.lora()) {
    save_adapter(folder, model, fs::absolute(source.base).string());
  } else {
    save_checkpoint(folder, model);
  }
  copy_tokenizer(source, folder);
}

void load_weights(const fs::path& folder, Transformer& model) {
  if (model.lora()) {
    load_adapter(folder, model);
  } else {
    load_checkpoint(folder, model);
  }
}

std::string digest_weights(const fs::path& folder, const Transformer& model) {
  return io::to_text(
      io::digest_file(folder / files_of(model.lora().has_value())[1]));
}

Checkpoints::Checkpoints(fs::path folder, const ModelSource& source)
    : folder_(std::move(folder)), source_(source) {}

fs::path Checkpoints::path(int64_t step) const {
  return folder_ / fmt::format("step-{}", step);
}

std::vector<int64_t> Checkpoints::steps() const {
  std::vector<int64_t> steps;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder_, code)) {
    std::string name = entry.path().filename().string();
    int64_t step = 0;
    const char* end = name.data() + name.size();
    if (name.starts_with("step-") &&
        std::from_chars(name.data() + 5, end, step).ptr == end) {
      steps.push_back(step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void Checkpoints::save(
    const Cursor& cursor,
    const RunInputs& inputs,
    const Transformer& model,
    const Optimizer& optimizer,
    int64_t keep) const {
  // Replaces a checkpoint of the same step from before a resume.
  io::replace_directory(path(cursor.step), [&](const fs::path& folder) {
    save_weights(folder, model, source_);
    save_safetensors(folder / kOptimizer, state_of(optimizer));
    io::OrderedJson state;
    state["format"] = kFormat;
    state["step"] = cursor.step;
    state["optimizer_steps"] = optimizer.steps();
    state["num_samples"] = inputs.num_samples;
    state["numerics"] = inputs.numerics;
    for (const RunInputs::Input& input : inputs.digests) {
      state["inputs"][input.id] = input.digest;
    }
    io::write_file(folder / kState, state.dump(2) + "\n");
    write_manifest(folder, model.lora().has_value());
  });
  std::vector<int64_t> all = steps();
  // Later checkpoints are damaged: the resume has passed over them.
  while (all.back() > cursor.step) {
    fs::remove_all(path(all.back()));
    all.pop_back();
  }
  for (size_t i = 0; i + static_cast<size_t>(keep) < all.size(); ++i) {
    fs::remove_all(path(all[i]));
  }
}

Cursor Checkpoints::load_newest(
    const RunInputs& inputs,
    Transformer& model,
    Optimizer& optimizer,
    std::vector<std::string>& warnings) const {
  std::vector<int64_t> all = steps();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    fs::path folder = path(*it);
    io::Json state;
    try {
      check_manifest(folder, model.lora().has_value());
      state = io::read_json(folder / kState);
    } catch (const DataError& error) {
      warnings.push_back(
          fmt::format("passing over {}: {}", folder.string(), error.what()));
      continue;
    }
    load(folder, state, inputs, model, optimizer);
    const std::string numerics = state.value("numerics", inputs.numerics);
    if (numerics != inputs.numerics) {
      warnings.push_back(fmt::format(
          "the checkpoint was made with \"{}\", the run goes on with \"{}\": "
          "its bits are not those of a run on either alone",
          numerics,
          inputs.numerics));
    }
    return {.step = state.at("step").get<int64_t>()};
  }
  std::string reasons;
  for (const std::string& warning : warnings) {
    reasons += "\n  - " + warning;
  }
  throw DataError(fmt::format(
      "[checkpoint] no good checkpoint in {}. Start again without --resume "
      "in another --out.{}",
      folder_.string(),
      reasons));
}

} // namespace accrue
