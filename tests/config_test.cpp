// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "accrue/core/error.h"
#include "accrue/models/config.h"
#include "support.h"

// Values read from config.json, and messages about wrong ones.

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;
using testing::TemporaryFolder;

std::string config_message(const std::string& json) {
  TemporaryFolder folder;
  std::string path = folder.write("config.json", json);
  auto message = message_of<DataError>([&] { read_model_config(path); });
  expect_contains(message, path);
  return message;
}

TEST(ConfigTest, EveryProblemIsNamed) {
  auto message = config_message(R"({
    "model_type": "llama", "vocab_size": "many", "hidden_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 2,
    "max_position_embeddings": -8, "hidden_act": "relu", "head_dim": 5,
    "rope_scaling": {"rope_type": "yarn", "factor": 4},
    "sliding_window": 4096, "attention_bias": 1})");
  for (const char* part :
       {"\"vocab_size\" must be a whole number, got \"many\"",
        "\"intermediate_size\" is missing",
        "\"num_attention_heads\" (3) must be a multiple",
        "\"max_position_embeddings\" must be > 0, got -8",
        "\"hidden_act\": \"relu\" is not supported",
        "\"head_dim\" must be even",
        "\"rope_type\": \"yarn\" is not supported",
        "\"factor\" is not supported",
        "\"sliding_window\" is not supported",
        "\"attention_bias\" must be true or false, got 1"}) {
    expect_contains(message, part);
  }
}

TEST(ConfigTest, RotarySettingsInTwoSpellingsMustAgree) {
  auto config = [](const std::string& rope) {
    return R"({"model_type": "llama", "vocab_size": 300, "hidden_size": 16,
      "intermediate_size": 16, "num_hidden_layers": 1,
      "num_attention_heads": 2, "max_position_embeddings": 16, )" +
        rope + "}";
  };
  const std::string linear = R"("rope_scaling": {"type": "linear", "factor": 4},
    "rope_theta": 500, "rope_parameters": {"rope_type": "linear", )";
  TemporaryFolder folder;
  ModelConfig agrees = read_model_config(folder.write(
      "config.json",
      config(linear + R"("rope_theta": 500.0, "factor": 4.0})")));
  EXPECT_EQ(agrees.rope_theta, 500);
  EXPECT_EQ(agrees.rope_factor, 4);
  EXPECT_EQ(agrees.rope_scaling, RopeScaling::kLinear);
  agrees = read_model_config(folder.write(
      "config.json", config(R"("rope_scaling": null, "rope_parameters":
        {"rope_type": "default", "rope_theta": 500})")));
  EXPECT_EQ(agrees.rope_theta, 500);
  expect_contains(
      config_message(config(linear + R"("rope_theta": 500, "factor": 8})")),
      "\"factor\" is 4 by \"rope_theta\" and \"rope_scaling\", 8 by "
      "\"rope_parameters\"");
  expect_contains(
      config_message(config(
          R"("rope_theta": 500, "rope_parameters": {"rope_theta": 600})")),
      "\"rope_theta\" is 500 by");
  // A field that the older spelling omits has its default, not the newer's
  // value.
  expect_contains(
      config_message(config(R"("rope_scaling": {"type": "linear", "factor": 4},
        "rope_parameters": {"rope_type": "linear", "factor": 4,
                            "rope_theta": 500})")),
      "\"rope_theta\" is 10000 by");
}

TEST(ConfigTest, AWindowThatIsNotGivenIsTransformersDefault) {
  TemporaryFolder folder;
  auto positions = [&](const char* kind, const char* more) {
    return read_model_config(
               folder.write(
                   "config.json",
                   std::string(R"({"vocab_size": 300, "hidden_size": 16,
        "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 32768,
        "num_key_value_heads": 2, "model_type": ")") +
                       kind + "\"" + more + "}"))
        .max_positions;
  };
  EXPECT_EQ(positions("mistral", ""), 4096);
  EXPECT_EQ(positions("mistral", R"(, "sliding_window": null)"), 32768);
  EXPECT_EQ(positions("qwen2", ""), 32768);
  EXPECT_EQ(positions("qwen2", R"(, "use_sliding_window": true)"), 4096);
}

TEST(ConfigTest, QuantizedWeightsAreRefusedWithAWayOut) {
  auto message = config_message(R"({"model_type": "gpt2", "n_embd": 8,
    "n_head": 2, "n_layer": 1, "n_positions": 8, "vocab_size": 300,
    "unsloth_version": "2025.12.5", "temperature": 0.6,
    "quantization_config": {"quant_method": "bitsandbytes"}})");
  expect_contains(message, "\"quantization_config\": quantized weights");
  expect_contains(message, "dequantize()");
  EXPECT_EQ(message.find("unsloth"), std::string::npos);
  EXPECT_EQ(message.find("temperature"), std::string::npos);
}

TEST(ConfigTest, DamagedFilesAreRefused) {
  expect_contains(config_message("[1]"), "must be an object, got an array");
  expect_contains(config_message("{"), "line 1 is not valid JSON");
  expect_contains(config_message("{}"), "\"model_type\" must be");
  expect_contains(config_message(R"({"model_type": "bert"})"), "got \"bert\"");
  expect_contains(
      config_message(R"({"model_type": "gpt2", "n_embd": 10, "n_head": 3,
        "n_layer": 1, "n_positions": 8, "vocab_size": 300,
        "scale_attn_by_inverse_layer_idx": true})"),
      "scale_attn_by_inverse_layer_idx");
  EXPECT_THROW(read_model_config("/nonexistent"), DataError);
}

} // namespace
} // namespace accrue
