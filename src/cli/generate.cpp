#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "accrue/models/transformer.h"
#include "cli/flags.h"
#include "io/json.h"
#include "text/bytes.h"
#include "train/task.h"

namespace accrue::cli {
namespace {

struct GenerateOptions {
  std::string model;
  std::string prompt;
  int64_t max_tokens = 200;
  double temperature = 0.8; // 0 = the likeliest token always
  double top_p = 0.95; // smallest set of tokens with this probability
  uint64_t seed = 0;
  bool json = false;
};

/// Draws from softmax(logits / temperature) cut to the top-p nucleus (arXiv
/// 1904.09751). `uniform` in [0, 1) decides.
int64_t pick(
    const std::vector<double>& logits,
    const GenerateOptions& options,
    double uniform) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return logits[a] > logits[b];
  });
  if (options.temperature == 0) {
    return static_cast<int64_t>(order[0]);
  }
  std::vector<double> weights;
  double total = 0;
  for (size_t token : order) {
    double gap = (logits[token] - logits[order[0]]) / options.temperature;
    weights.push_back(std::exp(gap));
    total += weights.back();
  }
  double nucleus = 0;
  size_t kept = 0;
  while (kept < weights.size() && nucleus < options.top_p * total) {
    nucleus += weights[kept++];
  }
  double left = uniform * nucleus;
  for (size_t i = 0; i + 1 < kept; ++i) {
    left -= weights[i];
    if (left < 0) {
      return static_cast<int64_t>(order[i]);
    }
  }
  return static_cast<int64_t>(order[kept > 0 ? kept - 1 : 0]);
}

std::vector<double> next_logits(
    const Transformer& model,
    const std::vector<int64_t>& tokens) {
  auto window = static_cast<int64_t>(tokens.size());
  window = std::min(window, model.config().max_positions);
  Sample sample;
  sample.tokens.assign(tokens.end() - window, tokens.end());
  sample.tokens.push_back(0); // a target that nothing looks at
  at::Tensor logits = model.logits(make_batch({&sample, 1})); // [T, V]
  at::Tensor last = logits.select(0, window - 1).to(at::kDouble).contiguous();
  const double* data = last.const_data_ptr<double>();
  // Beyond the bytes there is nothing to print.
  return {data, data + ByteVocabulary::kSize};
}

std::string generate(
    const Transformer& model,
    const GenerateOptions& options,
    bool stream) {
  at::NoGradGuard no_grad;
  CounterRandom random(options.seed);
  std::vector<int64_t> tokens{ByteVocabulary::kSeparator};
  for (char c : options.prompt) {
    tokens.push_back(static_cast<unsigned char>(c));
  }
  std::string text;
  for (int64_t i = 0; i < options.max_tokens; ++i) {
    int64_t token = pick(
        next_logits(model, tokens),
        options,
        random.uniform(static_cast<uint64_t>(i)));
    if (token == ByteVocabulary::kSeparator) {
      break;
    }
    tokens.push_back(token);
    text += static_cast<char>(token);
    if (stream) {
      std::fputc(static_cast<int>(token), stdout);
      std::fflush(stdout);
    }
  }
  return text;
}

GenerateOptions parse(std::vector<std::string> arguments) {
  GenerateOptions options;
  CLI::App app("Continue a prompt with a trained model.", "accrue generate");
  app.option_defaults()->always_capture_default();
  app.add_option(
         "--model", options.model, "folder with config.json and weights")
      ->required()
      ->type_name("DIR");
  app.add_option("--prompt", options.prompt, "text to continue")
      ->type_name("TEXT");
  app.add_option("--max-tokens", options.max_tokens, "tokens to generate")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  app.add_option(
         "--temperature", options.temperature, "0 = always the likeliest")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  app.add_option(
         "--top-p",
         options.top_p,
         "sample from the likeliest tokens that "
         "hold this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("X");
  app.add_option("--seed", options.seed, "of the sampling")->type_name("N");
  app.add_flag("--json", options.json, "one object with prompt and text");
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    std::exit(0);
  } catch (const CLI::ParseError& error) {
    throw ConfigError(fmt::format(
        "[config] {}. accrue generate --help lists the flags.", error.what()));
  }
  return options;
}

} // namespace

int run_generate(const std::vector<std::string>& arguments) {
  GenerateOptions options = parse(arguments);
  ModelConfig config = read_model_config(options.model);
  if (config.vocab_size < ByteVocabulary::kSize) {
    throw DataError(fmt::format(
        "[model] {} has a vocabulary of {}, bytes need {}.",
        options.model,
        config.vocab_size,
        ByteVocabulary::kSize));
  }
  Transformer model(config, Dtype::kFp32, 0);
  load_weights(options.model, model);
  if (!options.json) {
    fmt::print("{}", options.prompt);
  }
  std::string text = generate(model, options, /*stream=*/!options.json);
  if (options.json) {
    // Bytes of a half-trained model need not be UTF-8.
    io::OrderedJson json{{"prompt", options.prompt}, {"text", text}};
    fmt::print(
        "{}\n",
        json.dump(-1, ' ', false, io::OrderedJson::error_handler_t::replace));
  } else {
    fmt::print("\n");
  }
  return 0;
}

} // namespace accrue::cli
