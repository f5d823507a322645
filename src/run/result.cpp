// SPDX-License-Identifier: Apache-2.0
#include "run/result.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "io/files.h"
#include "io/json.h"
#include "models/adapter.h"
#include "models/hf_folder.h"

namespace accrue {

namespace fs = std::filesystem;

namespace {

/// Writes stop tokens into generation_config.json, so that other programs end
/// answers where the chat template ends them.
void write_stop_tokens(
    const fs::path& folder,
    const std::vector<uint32_t>& stops) {
  fs::path path = folder / "generation_config.json";
  io::OrderedJson config = io::OrderedJson::object();
  if (fs::exists(path)) {
    config = io::OrderedJson::parse(io::read_file(path));
  }
  std::vector<int64_t> ids = read_stop_tokens(folder);
  for (uint32_t stop : stops) {
    if (std::ranges::find(ids, int64_t{stop}) == ids.end()) {
      ids.push_back(stop);
    }
  }
  if (ids.size() == 1) {
    config["eos_token_id"] = ids[0];
  } else {
    config["eos_token_id"] = ids;
  }
  io::write_file(path, config.dump(2) + "\n");
}

std::optional<at::ScalarType> dtype_of(std::optional<SaveDtype> dtype) {
  if (!dtype) {
    return std::nullopt;
  }
  return *dtype == SaveDtype::kFp32 ? at::kFloat
      : *dtype == SaveDtype::kBf16  ? at::kBFloat16
                                    : at::kHalf;
}

/// Writes the model and its tokenizer, or its adapter, into a folder.
void write_result(Task& task, const fs::path& folder) {
  Transformer& model = task.model();
  const fs::path out = task.options().out;
  const std::string base = fs::absolute(task.source().base).string();
  const auto dtype = dtype_of(task.options().save_dtype);
  fs::remove_all(out / "adapter");
  if (model.lora() && !task.options().merge) {
    save_adapter(folder, model, base, dtype);
  } else {
    if (model.lora()) {
      save_adapter(out / "adapter", model, base);
      model.merge_adapters();
    }
    save_checkpoint(folder, model, dtype);
  }
  copy_tokenizer(task.source(), folder);
  if (const auto& chat = task.data().chat) {
    write_stop_tokens(folder, chat->stop_tokens);
  }
}

} // namespace

void save_result(Task& task) {
  io::replace_directory(
      fs::path(task.options().out) / "model",
      [&](const fs::path& folder) { write_result(task, folder); });
}

} // namespace accrue
