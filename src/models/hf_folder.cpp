// SPDX-License-Identifier: Apache-2.0
#include "models/hf_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/safetensors_file.h"
#include "models/pass.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

/// The weights of a folder, in one file or several.
class Checkpoint {
 public:
  explicit Checkpoint(const fs::path& folder) {
    if (fs::exists(folder / kWeights)) {
      add_file(folder / kWeights, nullptr);
    } else if (fs::exists(folder / kIndex)) {
      open_index(folder);
    } else {
      throw DataError(fmt::format(
          "[model] {} holds neither {} nor {}, the weights that accrue reads. "
          "Save the model with transformers' save_pretrained.",
          folder.string(),
          kWeights,
          kIndex));
    }
  }

  const io::FileTensors& tensors() const {
    return tensors_;
  }
  const std::vector<fs::path>& paths() const {
    return paths_;
  }

 private:
  void open_index(const fs::path& folder) {
    io::Json json = io::read_json(folder / kIndex);
    io::Node map = io::Node(json, (folder / kIndex).string()).at("weight_map");
    if (!map.json().is_object()) {
      map.fail("must be an object");
    }
    std::map<std::string, std::set<std::string>> by_file;
    for (const auto& [name, file] : map.json().items()) {
      std::string text = map.at(name).text();
      if (fs::path(text).filename() != text) {
        map.at(name).fail("must be the name of a file in the same folder");
      }
      by_file[text].insert(name);
    }
    for (const auto& [file, names] : by_file) {
      add_file(folder / file, &names);
    }
  }

  /// Adds a file. `names`: the tensors that the index lists for it.
  void add_file(const fs::path& path, const std::set<std::string>* names) {
    paths_.push_back(path);
    files_.push_back(std::make_unique<io::SafetensorsFile>(path));
    const io::SafetensorsFile& file = *files_.back();
    for (const auto& [name, entry] : file.entries()) {
      tensors_[name] = {&file, &entry};
    }
    if (names == nullptr) {
      return;
    }
    for (const std::string& name : *names) {
      if (!file.entries().contains(name)) {
        throw DataError(fmt::format(
            "[model] {} does not hold \"{}\", which the index places there. "
            "Restore the file.",
            path.string(),
            name));
      }
    }
  }

  std::vector<fs::path> paths_;
  std::vector<std::unique_ptr<io::SafetensorsFile>> files_;
  io::FileTensors tensors_;
};

/// True for a buffer, which is not a parameter of the model.
bool is_buffer(const std::string& name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
      name.ends_with(".rotary_emb.inv_freq");
}

constexpr const char* kHead = "lm_head.weight";

std::string embedding_weight(Family family) {
  return std::string(embedding_name(family)) + ".weight";
}

/// Maps the names of a checkpoint's tensors to those of the model's weights. A
/// separate head is among them if the file has one.
io::FileTensors match_names(const Checkpoint& checkpoint, Family family) {
  const std::string prefix =
      family == Family::kGpt2 ? "transformer." : "model.";
  // GPT-2's first checkpoints have the names of the model without its head.
  const bool bare = std::none_of(
      checkpoint.tensors().begin(),
      checkpoint.tensors().end(),
      [&](const auto& named) { return named.first.starts_with(prefix); });
  io::FileTensors named;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!is_buffer(name)) {
      named[bare && name != kHead ? prefix + name : name] = tensor;
    }
  }
  return named;
}

const char* dtype_name(at::ScalarType dtype) {
  return dtype == at::kDouble ? "float64"
      : dtype == at::kFloat   ? "float32"
      : dtype == at::kHalf    ? "float16"
                              : "bfloat16";
}

/// Text of config.json with the dtype that the weights are written in:
/// transformers loads them in that dtype.
std::string config_text(
    const Transformer& model,
    std::optional<at::ScalarType> dtype) {
  const std::string& text = model.config().json;
  io::OrderedJson json = io::OrderedJson::parse(text);
  const char* name = dtype_name(
      dtype.value_or(model.named_parameters().front().second.scalar_type()));
  bool changed = false;
  for (const char* key : {"dtype", "torch_dtype"}) {
    // A dtype that was asked for is written even if the config had none.
    const bool add = dtype && key == std::string_view("dtype") &&
        !json.contains("torch_dtype");
    if ((json.contains(key) || add) && json[key] != name) {
      json[key] = name;
      changed = true;
    }
  }
  return changed ? json.dump(2) + "\n" : text;
}

} // namespace

bool has_weights(const fs::path& folder) {
  return fs::exists(folder / kWeights) || fs::exists(folder / kIndex) ||
      fs::exists(folder / "pytorch_model.bin") ||
      fs::exists(folder / "pytorch_model.bin.index.json");
}

bool is_bf16_checkpoint(const fs::path& folder) {
  Checkpoint checkpoint(folder);
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (tensor.entry->shape.size() == 2 &&
        tensor.entry->dtype != at::kBFloat16) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> fit_to_weights(
    const fs::path& folder,
    ModelConfig& config) {
  std::vector<std::string> notes;
  if (fs::exists(folder / kWeights) && fs::exists(folder / kIndex)) {
    notes.push_back(fmt::format(
        "[model] {} holds both {} and {}. The former is read, as in "
        "transformers; the index and its files are not. Remove what is out of "
        "date.",
        folder.string(),
        kWeights,
        kIndex));
  }
  if (!config.tied_head) {
    return notes;
  }
  Checkpoint checkpoint(folder);
  auto named = match_names(checkpoint, config.family);
  const std::string embedding = embedding_weight(config.family);
  if (named.contains(kHead) && named.contains(embedding) &&
      !io::equal(named.at(kHead), named.at(embedding))) {
    notes.push_back(fmt::format(
        "[model] the config of {} ties {} to {}, and the weights hold both "
        "with different values. They are not tied, as in transformers. Set "
        "\"tie_word_embeddings\" to false if they are meant to differ, else "
        "remove {} from the weights.",
        folder.string(),
        kHead,
        embedding,
        kHead));
    config.tied_head = false;
    io::OrderedJson json = io::OrderedJson::parse(config.json);
    json["tie_word_embeddings"] = false;
    config.json = json.dump(2) + "\n";
  }
  return notes;
}

std::string digest_checkpoint(const fs::path& folder) {
  std::string text;
  Checkpoint checkpoint(folder);
  for (const fs::path& path : checkpoint.paths()) {
    text += io::to_text(io::digest_file(path)) + " ";
  }
  return text;
}

void load_checkpoint(const fs::path& folder, const Transformer& model) {
  Checkpoint checkpoint(folder);
  auto named = match_names(checkpoint, model.config().family);
  if (model.config().tied_head) {
    // A tied checkpoint may hold only the head: it is the embedding, too.
    if (auto head = named.extract(kHead)) {
      head.key() = embedding_weight(model.config().family);
      named.insert(std::move(head));
    }
  }
  io::copy(named, model.state());
}

void save_checkpoint(
    const fs::path& folder,
    const Transformer& model,
    std::optional<at::ScalarType> dtype) {
  io::make_directory(folder);
  io::write_file(folder / "config.json", config_text(model, dtype));
  save_safetensors(folder / kWeights, model.state(), dtype);
  io::sync_directory(folder);
}

} // namespace accrue
