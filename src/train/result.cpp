#include "train/result.h"

#include <filesystem>
#include <string>

#include "io/files.h"
#include "models/adapter.h"
#include "models/checkpoint.h"

namespace accrue {

namespace fs = std::filesystem;

void save_result(Task& task) {
  Transformer& model = task.model();
  const fs::path out = task.options().out;
  const std::string base = fs::absolute(task.source().base).string();
  fs::path folder = out / ".model.tmp";
  fs::remove_all(folder);
  fs::remove_all(out / "adapter");
  if (model.lora() && !task.options().merge) {
    save_adapter(folder, model, base);
  } else {
    if (model.lora()) {
      save_adapter(out / "adapter", model, base);
      model.merge_adapters();
    }
    save_checkpoint(folder, model);
  }
  copy_tokenizer(task.source(), folder);
  fs::remove_all(out / "model");
  fs::rename(folder, out / "model");
  io::sync_directory(out);
}

} // namespace accrue
