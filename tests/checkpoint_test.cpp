// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "accrue/core/error.h"
#include "accrue/io/safetensors.h"
#include "io/files.h"
#include "io/json.h"
#include "models/adapter.h"
#include "models/hf_folder.h"
#include "objectives/preference.h"
#include "support.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;
using testing::TemporaryFolder;

constexpr const char* kConfig = R"({"model_type": "llama", "vocab_size": 30,
  "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
  "num_attention_heads": 2, "max_position_embeddings": 16,
  "dtype": "bfloat16"})";

class CheckpointTest : public ::testing::Test {
 protected:
  Transformer model(const ModelOptions& options = {}) {
    return {read_model_config(folder_.write("config.json", kConfig)), options};
  }

  std::string load_message() {
    Transformer into = model();
    return message_of<DataError>([&] { load_checkpoint(folder_ / "", into); });
  }

  TemporaryFolder folder_;
};

TEST_F(CheckpointTest, ShardsAreReadAsTheirIndexSays) {
  Transformer source = model({.seed = 1});
  TensorMap first;
  TensorMap second;
  io::Json index;
  for (const auto& [name, tensor] : source.state()) {
    bool one = first.size() < 5;
    (one ? first : second)[name] = tensor;
    index["weight_map"][name] = one ? "1.safetensors" : "2.safetensors";
  }
  save_safetensors(folder_ / "1.safetensors", first);
  save_safetensors(folder_ / "2.safetensors", second);
  std::string path =
      folder_.write("model.safetensors.index.json", index.dump());
  Transformer target = model({.seed = 2});
  load_checkpoint(folder_ / "", target);
  for (const auto& [name, tensor] : target.state()) {
    EXPECT_TRUE(tensor.equal(source.state().at(name))) << name;
  }
  io::Json wrong = index;
  wrong["weight_map"]["lm_head.weight"] = "1.safetensors";
  std::string elsewhere = first.contains("lm_head.weight") ? "2" : "1";
  wrong["weight_map"]["lm_head.weight"] = elsewhere + ".safetensors";
  folder_.write("model.safetensors.index.json", wrong.dump());
  expect_contains(load_message(), "does not hold \"lm_head.weight\"");
  wrong["weight_map"]["lm_head.weight"] = "../1.safetensors";
  folder_.write("model.safetensors.index.json", wrong.dump());
  expect_contains(load_message(), "in the same folder");
  wrong["weight_map"]["lm_head.weight"] = "3.safetensors";
  folder_.write("model.safetensors.index.json", wrong.dump());
  expect_contains(load_message(), "3.safetensors");
  folder_.write("model.safetensors.index.json", "{}");
  expect_contains(load_message(), "\"weight_map\" is missing");
}

TEST_F(CheckpointTest, WhatIsWrongIsNamedAndNothingIsLoaded) {
  TensorMap state = model().state();
  state["model.norm.weight"] = at::zeros({9});
  state["extra"] = at::zeros({1});
  save_safetensors(folder_ / "model.safetensors", state);
  Transformer into = model({.seed = 5});
  at::Tensor before = into.parameters()[0].detach().clone();
  auto message =
      message_of<DataError>([&] { load_checkpoint(folder_ / "", into); });
  expect_contains(message, "\"model.norm.weight\" must have the shape [8]");
  expect_contains(message, "\"extra\" is not expected");
  EXPECT_TRUE(into.parameters()[0].equal(before));
}

TEST_F(CheckpointTest, TheConfigSaysTheDtypeOfTheWeights) {
  save_checkpoint(folder_ / "out", model());
  auto json = io::read_json(folder_ / "out" / "config.json");
  EXPECT_EQ(json.at("dtype"), "float32");
  EXPECT_EQ(json.at("hidden_size"), 8);
}

TEST_F(CheckpointTest, AdaptersAreWrittenAndRead) {
  LoraOptions lora{.rank = 2, .alpha = 3, .targets = {"q_proj", "up_proj"}};
  Transformer source = model({.seed = 1, .lora = lora});
  for (auto& [name, tensor] : source.adapters()) {
    at::Tensor(tensor.detach()).add_(1);
  }
  save_adapter(folder_ / "adapter", source, "base");
  AdapterConfig config = read_adapter_config(folder_ / "adapter");
  EXPECT_EQ(config.base, "base");
  EXPECT_EQ(config.lora.rank, 2);
  EXPECT_EQ(config.lora.alpha, 3);
  EXPECT_EQ(config.lora.targets, lora.targets);
  Transformer target = model({.seed = 2, .lora = config.lora});
  load_adapter(folder_ / "adapter", target);
  for (const auto& [name, tensor] : target.adapters()) {
    EXPECT_TRUE(tensor.equal(source.adapters().at(name))) << name;
  }
}

TEST_F(CheckpointTest, AdaptersOfOtherKindsAreRefusedByName) {
  auto message = [&](const char* key, const io::Json& value) {
    io::Json json{
        {"peft_type", "LORA"},
        {"r", 4},
        {"lora_alpha", 8},
        {"target_modules", {"q_proj"}}};
    json[key] = value;
    folder_.write("adapter_config.json", json.dump());
    return message_of<DataError>([&] { read_adapter_config(folder_ / ""); });
  };
  expect_contains(message("peft_type", "IA3"), "must be LORA");
  expect_contains(message("use_dora", true), "\"use_dora\" is not supported");
  expect_contains(message("use_rslora", true), "\"use_rslora\"");
  expect_contains(message("bias", "all"), "\"bias\" must be none");
  expect_contains(message("r", 0), "\"r\" must be >= 1");
  expect_contains(message("r", "x"), "must be a whole number");
  expect_contains(message("rank_pattern", {{"a", 2}}), "\"rank_pattern\"");
  expect_contains(message("target_modules", ".*"), "list of names");
  expect_contains(
      message("modules_to_save", {"lm_head"}),
      "\"modules_to_save\" is not supported ([\"lm_head\"])");
  // Settings unknown to accrue are refused, unless they are off.
  expect_contains(message("use_new_kind", true), "\"use_new_kind\"");
  io::Json off{
      {"peft_type", "LORA"},
      {"r", 4},
      {"lora_alpha", 8},
      {"target_modules", {"q_proj"}},
      {"use_new_kind", false},
      {"new_list", io::Json::array()},
      {"peft_version", "9"}};
  folder_.write("adapter_config.json", off.dump());
  EXPECT_EQ(read_adapter_config(folder_ / "").lora.rank, 4);
}

TEST_F(CheckpointTest, TensorsThatAnAdapterDoesNotSpeakOfAreNamed) {
  LoraOptions lora{.rank = 2, .alpha = 3, .targets = {"q_proj"}};
  Transformer adapted = model({.lora = lora});
  TensorMap tensors = adapted.adapters();
  tensors["base_model.model.model.embed_tokens.weight"] = at::zeros({30, 8});
  save_safetensors(folder_ / "adapter_model.safetensors", tensors);
  auto message =
      message_of<DataError>([&] { load_adapter(folder_ / "", adapted); });
  expect_contains(message, "speak of: model.embed_tokens.weight. ");
  expect_contains(message, "merge_and_unload");
}

TEST_F(CheckpointTest, ReferencesOfOtherDataAreRefused) {
  std::vector<PairReference> train{{-1, -2}, {-3, -4}};
  std::vector<PairReference> valid{{-5, -6}};
  auto path = folder_ / "reference.safetensors";
  save_references(path, train, valid);
  std::vector<PairReference> got(2);
  std::vector<PairReference> got_valid(1);
  load_references(path, got, got_valid);
  EXPECT_EQ(got[1].rejected, -4);
  EXPECT_EQ(got_valid[0].chosen, -5);
  got.resize(3);
  expect_contains(
      message_of<DataError>([&] { load_references(path, got, got_valid); }),
      "\"train\" must have the shape [3, 2], got [2, 2]");
}

} // namespace
} // namespace accrue
