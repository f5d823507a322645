#include "train/result.h"

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "io/files.h"
#include "models/adapter.h"
#include "models/checkpoint.h"

namespace accrue {

namespace fs = std::filesystem;

namespace {

std::optional<at::ScalarType> dtype_of(std::optional<SaveDtype> dtype) {
  if (!dtype) {
    return std::nullopt;
  }
  return *dtype == SaveDtype::kFp32 ? at::kFloat
      : *dtype == SaveDtype::kBf16  ? at::kBFloat16
                                    : at::kHalf;
}

/// The model and its tokenizer, or its adapter, into a folder.
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
}

} // namespace

void save_result(Task& task) {
  const fs::path out = task.options().out;
  const fs::path folder = out / ".model.tmp";
  fs::remove_all(folder);
  try {
    write_result(task, folder);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    throw;
  }
  fs::remove_all(out / "model");
  fs::rename(folder, out / "model");
  io::sync_directory(out);
}

} // namespace accrue
