// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "accrue/core/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/data.h"
#include "cli/flag_parser.h"
#include "io/json.h"
#include "report/progress.h"
#include "run/model_source.h"
#include "run/option_table.h"
#include "text/dataset.h"
#include "text/mixture.h"
#include "text/show.h"

namespace accrue::cli {
namespace {

/// Settings of a run that decide the samples.
constexpr std::array<std::string_view, 11> kShared{
    "model",
    "data",
    "skip-bad-lines",
    "objective",
    "chat-template",
    "chat-date",
    "train-on",
    "special-tokens-in-text",
    "too-long",
    "seq-len",
    "packing",
};

struct ShowOptions {
  TrainOptions run;
  uint64_t count = 3;
  bool json = false;
  bool quiet = false;

  template <class Options, class Visitor>
  static void visit(Options& o, Visitor&& v);
};

template <class Options, class Visitor>
void ShowOptions::visit(Options& o, Visitor&& v) {
  visit_logical(o.run, [&](const OptionRow& row, auto& field) {
    if (std::ranges::find(kShared, row.name) != kShared.end()) {
      v(row, field);
    }
  });
  v({.name = "n", .value = "N", .help = "samples to show"}, o.count);
  v({.name = "json", .help = "print one JSON object per sample"}, o.json);
  v({.name = "quiet", .help = "no progress"}, o.quiet);
}

int64_t num_trained(const Sequence& sequence) {
  return sequence.loss_mask.empty()
      ? sequence.length()
      : std::ranges::count(sequence.loss_mask, uint8_t{1});
}

void print_people(const Vocabulary& vocabulary, const Sample& sample) {
  for (const Sequence& sequence : sample.sequences) {
    fmt::print(
        "sample {}: {} target tokens, {} of them trained on\n{}\n",
        sample.id,
        sequence.length(),
        num_trained(sequence),
        show(vocabulary, sequence));
    fmt::print("ids {}\n\n", fmt::join(sequence.tokens, " "));
  }
}

void print_json(const Vocabulary& vocabulary, const Sample& sample) {
  for (const Sequence& sequence : sample.sequences) {
    std::vector<uint8_t> trained(sequence.tokens.size(), 1);
    trained[0] = 0; // the target of no token
    if (!sequence.loss_mask.empty()) {
      std::ranges::copy(sequence.loss_mask, trained.begin() + 1);
    }
    io::OrderedJson json;
    json["sample"] = sample.id;
    json["ids"] = sequence.tokens;
    json["trained"] = trained;
    json["text"] = show(vocabulary, sequence);
    fmt::print("{}\n", json.dump());
  }
}

/// Opens a part of the data and prints its first samples.
void show_part(
    const DataPart& part,
    const ShowOptions& show,
    const DataReader& reader,
    int64_t seq_len,
    report::Progress& progress) {
  auto corpus = reader.open(part.paths, progress.callback());
  if (!corpus->left_out().empty()) {
    progress.line(left_out_line(corpus->left_out()));
  }
  Dataset dataset(corpus, seq_len, show.run.packing);
  if (!show.json) {
    if (corpus->kind() != ExampleKind::kText) {
      fmt::print("template {}\n", reader.format().description());
    }
    fmt::print(
        "{} samples of up to {} target tokens; ⟦trained on⟧\n\n",
        dataset.size(),
        dataset.max_length());
  }
  for (uint64_t i = 0; i < std::min(show.count, dataset.size()); ++i) {
    Sample sample = dataset.sample(i);
    show.json ? print_json(reader.vocabulary(), sample)
              : print_people(reader.vocabulary(), sample);
  }
}

} // namespace

int run_show_data(const std::vector<std::string>& arguments) {
  const auto show = parse_command<ShowOptions>(
      "show-data",
      "Print samples as the model will see them, before any training: ids, "
      "text, and the tokens trained on.",
      arguments);
  const TrainOptions& run = show.run;
  Problems problems;
  const std::vector<DataPart> parts = data_parts(run.data, problems);
  problems.throw_if_any<ConfigError>("config");
  report::Progress progress(progress_stream(show.json), show.quiet);
  ModelSource source = find_model(run.model);
  print_warnings(source);
  const int64_t seq_len = run.seq_len.value_or(
      std::min(source.config.max_positions, kDefaultSeqLen));
  const DataReader reader(
      source,
      {.chat =
           {.which = run.chat_template,
            .train_on = run.train_on,
            .special_tokens_in_text = run.special_tokens_in_text,
            .date = run.chat_date},
       .skip_bad_lines = run.skip_bad_lines,
       .preference = run.objective == ObjectiveKind::kDpo,
       .too_long = run.too_long,
       .seq_len = seq_len});
  for (const DataPart& part : parts) {
    show_part(part, show, reader, seq_len, progress);
  }
  return 0;
}

} // namespace accrue::cli
