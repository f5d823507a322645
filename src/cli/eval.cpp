// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/device/device.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/data.h"
#include "cli/flag_parser.h"
#include "cli/threads.h"
#include "io/json.h"
#include "objectives/batch.h"
#include "run/compare.h"
#include "run/model_source.h"

namespace accrue::cli {
namespace {

struct EvalOptions {
  std::string model;
  std::vector<std::string> data;
  std::string compare; // second model; empty = none
  std::optional<int64_t> seq_len;
  DataOptions reading;
  Dtype dtype = Dtype::kFp32;
  std::string device = "cpu";
  int64_t threads = 0;
  bool json = false;
  bool quiet = false;

  template <class Options, class Visitor>
  static void visit(Options& o, Visitor&& v);
};

template <class Options, class Visitor>
void EvalOptions::visit(Options& o, Visitor&& v) {
  v({.name = "model",
     .value = "DIR",
     .help = "model folder, or adapter folder",
     .required = true},
    o.model);
  v({.name = "data",
     .value = "PATH",
     .help = "files and folders",
     .required = true,
     .alias = "valid"},
    o.data);
  v({.name = "compare",
     .value = "DIR",
     .help = "a second model on the same samples: which one is better, with a "
             "95 % confidence interval"},
    o.compare);
  v({.name = "seq-len",
     .value = "T",
     .help = "longest sample (default: the model's positions, at most 1024)",
     .bound = at_least(1)},
    o.seq_len);
  v({.name = "chat-template", .help = "how conversations are written"},
    o.reading.chat.which);
  v({.name = "train-on",
     .help = "the tokens of conversations whose loss counts"},
    o.reading.chat.train_on);
  v({.name = "chat-date",
     .value = "YYYY-MM-DD",
     .help = "the date for templates that write one (default: today)"},
    o.reading.chat.date);
  v({.name = "dtype",
     .help = "matrix work; bf16 keeps weights and sums in fp32"},
    o.dtype);
  v({.name = "device",
     .value = "cpu|cuda|cuda:N",
     .help = "where the model runs; cuda: the first GPU"},
    o.device);
  v({.name = "threads",
     .value = "N",
     .help = "0 = all cores that may be used",
     .bound = at_least(0)},
    o.threads);
  v({.name = "skip-bad-lines",
     .help = "leave out and count JSON lines that are malformed"},
    o.reading.skip_bad_lines);
  v({.name = "json", .help = "print one JSON object"}, o.json);
  v({.name = "quiet", .help = "no progress"}, o.quiet);
}

/// A model and the samples that it makes of the data, with their losses.
struct Subject {
  ModelSource source;
  std::shared_ptr<const Corpus> corpus;
  std::optional<ConcatDataset> dataset;
  std::vector<SampleLoss> losses;
  Evaluation total;
};

/// Returns --seq-len, or else the largest length that all models have positions
/// for.
int64_t common_seq_len(
    const EvalOptions& options,
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
    const EvalOptions& options,
    int64_t seq_len,
    const ProgressCallback& tick) {
  DataOptions reading = options.reading;
  reading.seq_len = seq_len;
  subject.corpus = DataReader(subject.source, reading).open(options.data, tick);
  subject.dataset.emplace(Dataset(subject.corpus, seq_len, Packing::kOn));
}

/// Computes the losses. Only one model is in memory at a time.
void evaluate(
    Subject& subject,
    const EvalOptions& options,
    const ProgressCallback& tick) {
  Transformer model = open_model(
      subject.source,
      {.dtype = options.dtype, .device = open_device(options.device)});
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
                           : io::OrderedJson(options.model);
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
    fmt::print("a loss that is not a number can't be compared\n");
    return;
  }
  if (!result) {
    fmt::print("one sample does not tell how certain the difference is\n");
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
          : (result->high < 0 ? options.compare : options.model) +
              " is better");
}

} // namespace

int run_eval(const std::vector<std::string>& arguments) {
  const auto options = parse_command<EvalOptions>(
      "eval",
      "Loss and perplexity of a model on text or conversations, per target "
      "token.",
      arguments);
  const Threads threads(options.threads);
  report::Progress progress(progress_stream(options.json), options.quiet);
  std::vector<Subject> subjects;
  subjects.push_back(find_subject(options.model));
  if (!options.compare.empty()) {
    subjects.push_back(find_subject(options.compare));
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
          options.compare));
    }
  }
  const auto& left_out = subjects.front().corpus->left_out();
  if (!left_out.empty()) {
    progress.line(left_out_line(left_out));
  }
  for (Subject& subject : subjects) {
    evaluate(subject, options, tick);
  }
  options.json ? print_json(options, subjects)
               : print_people(options, subjects);
  return 0;
}

} // namespace accrue::cli
