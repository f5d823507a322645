#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "cli/arguments.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/waiting.h"
#include "io/json.h"
#include "train/batch.h"
#include "train/model_source.h"
#include "train/option_text.h"

namespace accrue::cli {
namespace {

TrainOptions parse_eval(const std::vector<std::string>& arguments) {
  TrainOptions options;
  std::string dtype = "fp32";
  std::string chat_template = "auto";
  std::string train_on = "completion";
  CLI::App app(
      "Loss and perplexity of a model on text or conversations, per target "
      "token.",
      "accrue eval");
  app.option_defaults()->always_capture_default();
  app.add_option("--model", options.model, "model folder, or adapter folder")
      ->required()
      ->type_name("DIR");
  app.add_option("--valid,--data", options.data, "files and folders")
      ->required()
      ->type_name("PATH...");
  app.add_option(
         "--seq-len",
         options.seq_len,
         "longest sample (default: the model's positions, at most 1024)")
      ->type_name("T");
  app.add_option(
         "--chat-template",
         chat_template,
         "auto, chatml, llama3, mistral or plain")
      ->type_name("NAME");
  app.add_option(
         "--train-on",
         train_on,
         "of conversations: completion, assistant, last or all")
      ->type_name("NAME");
  app.add_option(
         "--chat-date",
         options.chat_date,
         "the date for templates that write one (default: today)")
      ->type_name("YYYY-MM-DD");
  app.add_option("--dtype", dtype, "fp32, fp64 or bf16")->type_name("NAME");
  app.add_option("--threads", options.threads, "0 = all cores that may be used")
      ->type_name("N");
  app.add_flag(
      "--skip-bad-lines",
      options.skip_bad_lines,
      "leave out and count JSON lines that are malformed");
  app.add_flag("--json", options.json, "one object");
  app.add_flag("--quiet", options.quiet, "no progress");
  parse_arguments(app, arguments);
  Problems problems;
  auto read = [&](const char* flag, const std::string& text, auto& field) {
    try {
      option_text::parse(text, field);
    } catch (const ConfigError& error) {
      problems.add(fmt::format("{}: {}", flag, error.what()));
    }
  };
  read("--dtype", dtype, options.dtype);
  read("--chat-template", chat_template, options.chat_template);
  read("--train-on", train_on, options.train_on);
  if (options.seq_len && *options.seq_len < 1) {
    problems.add("--seq-len must be >= 1");
  }
  problems.throw_if_any<ConfigError>("config");
  return options;
}

} // namespace

int run_eval(const std::vector<std::string>& arguments) {
  TrainOptions options = parse_eval(arguments);
  set_threads(options.threads);
  const Waiting waiting;
  report::Progress progress(people(options), options.quiet);
  ModelSource source = find_model(options.model);
  print_warnings(source);
  if (!source.has_weights()) {
    throw DataError(
        fmt::format("[model] {} holds no weights to evaluate.", options.model));
  }
  int64_t positions = source.config.max_positions;
  int64_t seq_len =
      options.seq_len.value_or(std::min(positions, kDefaultSeqLen));
  if (seq_len > positions) {
    throw ConfigError(fmt::format(
        "[config] --seq-len {} exceeds the {} positions of {}.",
        seq_len,
        positions,
        options.model));
  }
  auto tick = progress.ticker();
  Vocabulary vocabulary = open_vocabulary(source);
  ChatFormat format(
      vocabulary,
      source.folder(),
      {.which = options.chat_template,
       .train_on = options.train_on,
       .date = options.chat_date});
  auto corpus = std::make_shared<Corpus>(Corpus::open(
      {.paths = options.data,
       .skip_bad_lines = options.skip_bad_lines,
       .cache = default_cache(),
       .vocabulary = vocabulary,
       .format = &format,
       .seq_len = seq_len,
       .threads = at::get_num_threads()},
      tick));
  if (!corpus->left_out().empty()) {
    progress.line(left_out_line(corpus->left_out()));
  }
  Dataset dataset(corpus, seq_len, Packing::kOn);
  Transformer model = open_model(source, options.dtype, 0);
  Evaluation result = evaluate(model, dataset, kEvaluationTokens, tick);
  double perplexity = std::exp(result.mean());
  if (options.json) {
    io::OrderedJson json;
    json["loss"] = result.mean();
    json["perplexity"] = perplexity;
    json["target_tokens"] = static_cast<int64_t>(result.target_tokens);
    json["samples"] = dataset.size();
    json["skipped_lines"] = corpus->counts().bad_lines;
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print(
        "loss        {:.4f}\nperplexity  {:.3f}\nover        {} target tokens "
        "in {} samples\n",
        result.mean(),
        perplexity,
        static_cast<int64_t>(result.target_tokens),
        dataset.size());
  }
  return 0;
}

} // namespace accrue::cli
