#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "cli/arguments.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/waiting.h"
#include "io/json.h"
#include "train/batch.h"
#include "train/compare.h"
#include "train/model_source.h"
#include "train/option_text.h"

namespace accrue::cli {
namespace {

struct EvalOptions {
  TrainOptions train;
  std::string compare; // a second model; empty: none
};

EvalOptions parse_eval(const std::vector<std::string>& arguments) {
  EvalOptions parsed;
  TrainOptions& options = parsed.train;
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
         "--compare",
         parsed.compare,
         "a second model on the same samples: which one is better, with a 95 % "
         "confidence interval")
      ->type_name("DIR");
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
  return parsed;
}

/// A model and the samples that its tokenizer and template make of the data.
struct Subject {
  ModelSource source;
  std::shared_ptr<const Corpus> corpus;
  std::optional<ConcatDataset> dataset;
  std::vector<SampleLoss> losses;
  Evaluation total;
};

/// Of two models the shorter positions, unless --seq-len says.
int64_t common_seq_len(
    const TrainOptions& options,
    const std::vector<Subject>& subjects) {
  int64_t seq_len = options.seq_len.value_or(kDefaultSeqLen);
  for (const Subject& subject : subjects) {
    const int64_t positions = subject.source.config.max_positions;
    if (options.seq_len && *options.seq_len > positions) {
      throw ConfigError(fmt::format(
          "[config] --seq-len {} exceeds the {} positions of {}.",
          *options.seq_len,
          positions,
          subject.source.base.string()));
    }
    seq_len = std::min(seq_len, positions);
  }
  return seq_len;
}

Subject find_subject(const std::string& model) {
  Subject subject{.source = find_model(model)};
  print_warnings(subject.source);
  if (!subject.source.has_weights()) {
    throw DataError(
        fmt::format("[model] {} holds no weights to evaluate.", model));
  }
  return subject;
}

void open_data(
    Subject& subject,
    const TrainOptions& options,
    int64_t seq_len,
    const ProgressCallback& tick) {
  Vocabulary vocabulary = open_vocabulary(subject.source);
  ChatFormat format(
      vocabulary,
      subject.source.folder(),
      {.which = options.chat_template,
       .train_on = options.train_on,
       .date = options.chat_date});
  subject.corpus = std::make_shared<Corpus>(Corpus::open(
      {.paths = options.data,
       .skip_bad_lines = options.skip_bad_lines,
       .cache = default_cache(),
       .vocabulary = vocabulary,
       .format = &format,
       .seq_len = seq_len,
       .threads = at::get_num_threads()},
      tick));
  subject.dataset.emplace(Dataset(subject.corpus, seq_len, Packing::kOn));
}

/// One model is in memory at a time.
void evaluate(
    Subject& subject,
    const TrainOptions& options,
    const ProgressCallback& tick) {
  Transformer model = open_model(subject.source, options.dtype, 0);
  subject.losses =
      sample_losses(model, *subject.dataset, kEvaluationTokens, tick);
  subject.total = total(subject.losses);
}

void print_json(const EvalOptions& options, const std::vector<Subject>& all) {
  const Subject& subject = all.front();
  io::OrderedJson json;
  json["loss"] = subject.total.mean();
  json["perplexity"] = std::exp(subject.total.mean());
  json["target_tokens"] = static_cast<int64_t>(subject.total.target_tokens);
  json["samples"] = subject.dataset->size();
  json["skipped_lines"] = subject.corpus->counts().bad_lines;
  if (all.size() > 1) {
    io::OrderedJson& other = json["compare"];
    other["model"] = options.compare;
    other["loss"] = all[1].total.mean();
    other["perplexity"] = std::exp(all[1].total.mean());
    const auto result = compare(subject.losses, all[1].losses);
    other["difference"] = all[1].total.mean() - subject.total.mean();
    if (result) {
      other["standard_error"] = result->standard_error;
      other["low"] = result->low;
      other["high"] = result->high;
    }
    other["better"] = !result || !result->decided() ? io::OrderedJson(nullptr)
        : result->high < 0 ? io::OrderedJson(options.compare)
                           : io::OrderedJson(options.train.model);
  }
  fmt::print("{}\n", json.dump());
}

void print_people(const EvalOptions& options, const std::vector<Subject>& all) {
  const Subject& subject = all.front();
  fmt::print(
      "loss        {:.4f}\nperplexity  {:.3f}\nover        {} target tokens in "
      "{} samples\n",
      subject.total.mean(),
      std::exp(subject.total.mean()),
      static_cast<int64_t>(subject.total.target_tokens),
      subject.dataset->size());
  if (all.size() < 2) {
    return;
  }
  fmt::print(
      "\nloss        {:.4f}  {}\n", all[1].total.mean(), options.compare);
  const auto result = compare(subject.losses, all[1].losses);
  if (result && std::isnan(result->difference)) {
    fmt::print("a loss that is no number can't be compared\n");
    return;
  }
  if (!result) {
    fmt::print("one sample tells nothing of how sure the difference is\n");
    return;
  }
  fmt::print(
      "difference  {:+.4f}, between {:+.4f} and {:+.4f} with 95 % confidence: "
      "{}\n",
      result->difference,
      result->low,
      result->high,
      !result->decided()
          ? "this data does not tell them apart"
          : (result->high < 0 ? options.compare : options.train.model) +
              " is better");
}

} // namespace

int run_eval(const std::vector<std::string>& arguments) {
  const EvalOptions parsed = parse_eval(arguments);
  const TrainOptions& options = parsed.train;
  set_threads(options.threads);
  const Waiting waiting;
  report::Progress progress(people(options), options.quiet);
  std::vector<Subject> subjects;
  subjects.push_back(find_subject(options.model));
  if (!parsed.compare.empty()) {
    subjects.push_back(find_subject(parsed.compare));
  }
  const int64_t seq_len = common_seq_len(options, subjects);
  auto tick = progress.callback();
  for (Subject& subject : subjects) {
    open_data(subject, options, seq_len, tick);
    if (subject.corpus->digest() != subjects.front().corpus->digest()) {
      throw DataError(fmt::format(
          "[data] {} and {} make different tokens of the data, so their losses "
          "per token can't be compared. Compare models of one tokenizer and "
          "one chat template (--chat-template names one for both).",
          options.model,
          parsed.compare));
    }
  }
  const auto& left_out = subjects.front().corpus->left_out();
  if (!left_out.empty()) {
    progress.line(left_out_line(left_out));
  }
  for (Subject& subject : subjects) {
    evaluate(subject, options, tick);
  }
  options.json ? print_json(parsed, subjects) : print_people(parsed, subjects);
  return 0;
}

} // namespace accrue::cli
