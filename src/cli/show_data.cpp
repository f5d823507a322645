#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "cli/arguments.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "io/json.h"
#include "text/mixture.h"
#include "text/show.h"
#include "train/model_source.h"
#include "train/option_table.h"
#include "train/option_text.h"

namespace accrue::cli {
namespace {

/// Settings that decide what samples look like.
constexpr const char* kFlags[] = {
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
  TrainOptions train;
  std::vector<DataPart> parts;
  uint64_t count = 3;
};

ShowOptions parse_show(const std::vector<std::string>& arguments) {
  ShowOptions options;
  CLI::App app(
      "Print samples as the model will see them, before any training: ids, "
      "text, and what is trained on.",
      "accrue show-data");
  std::map<std::string, std::vector<std::string>> texts;
  auto wanted = [](const char* name) {
    return std::ranges::find(kFlags, std::string_view(name)) !=
        std::end(kFlags);
  };
  visit_logical(
      options.train,
      [&](const char* name, auto& field, const char* value, const char* help) {
        using Field = std::decay_t<decltype(field)>;
        if (!wanted(name)) {
          return;
        }
        std::string flag = fmt::format("--{}", name);
        if constexpr (std::is_same_v<Field, bool>) {
          app.add_flag(flag, field, help);
        } else {
          constexpr bool kList =
              std::is_same_v<Field, std::vector<std::string>>;
          app.add_option(flag, texts[name], help)
              ->type_name(value)
              ->expected(1, kList ? CLI::detail::expected_max_vector_size : 1);
        }
      });
  app.get_option("--model")->required();
  app.get_option("--data")->required();
  app.add_option("--n", options.count, "samples to show [3]")->type_name("N");
  app.add_flag("--json", options.train.json, "one object per sample");
  app.add_flag("--quiet", options.train.quiet, "no progress");
  parse_arguments(app, arguments);
  Problems problems;
  visit_logical(
      options.train,
      [&](const char* name, auto& field, const char*, const char*) {
        using Field = std::decay_t<decltype(field)>;
        if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
          if (!texts[name].empty()) {
            field = texts[name];
          }
        } else if (!texts[name].empty()) {
          try {
            option_text::parse(texts[name].front(), field);
          } catch (const ConfigError& error) {
            problems.add(fmt::format("--{}: {}", name, error.what()));
          }
        }
      });
  if (options.train.seq_len && *options.train.seq_len < 1) {
    problems.add("--seq-len must be >= 1");
  }
  options.parts = data_parts(options.train.data, problems);
  problems.throw_if_any<ConfigError>("config");
  return options;
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
    trained[0] = 0; // nobody's target
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
    const Vocabulary& vocabulary,
    const ChatFormat& format,
    int64_t seq_len,
    report::Progress& progress) {
  const TrainOptions& options = show.train;
  auto corpus = std::make_shared<Corpus>(Corpus::open(
      {.paths = part.paths,
       .skip_bad_lines = options.skip_bad_lines,
       .cache = default_cache(),
       .vocabulary = vocabulary,
       .format = &format,
       .preference = options.objective == ObjectiveKind::kDpo,
       .seq_len = seq_len,
       .too_long = options.too_long,
       .threads = at::get_num_threads()},
      progress.callback()));
  if (!corpus->left_out().empty()) {
    progress.line(left_out_line(corpus->left_out()));
  }
  Dataset dataset(corpus, seq_len, options.packing);
  if (!options.json) {
    if (corpus->kind() != ExampleKind::kText) {
      fmt::print("template {}\n", format.description());
    }
    fmt::print(
        "{} samples of up to {} target tokens; ⟦trained on⟧\n\n",
        dataset.size(),
        dataset.max_length());
  }
  for (uint64_t i = 0; i < std::min(show.count, dataset.size()); ++i) {
    Sample sample = dataset.sample(i);
    options.json ? print_json(vocabulary, sample)
                 : print_people(vocabulary, sample);
  }
}

} // namespace

int run_show_data(const std::vector<std::string>& arguments) {
  ShowOptions show = parse_show(arguments);
  const TrainOptions& options = show.train;
  report::Progress progress(people(options), options.quiet);
  ModelSource source = find_model(options.model);
  print_warnings(source);
  int64_t seq_len = options.seq_len.value_or(
      std::min(source.config.max_positions, kDefaultSeqLen));
  Vocabulary vocabulary = open_vocabulary(source);
  ChatFormat format(
      vocabulary,
      source.folder(),
      {.which = options.chat_template,
       .train_on = options.train_on,
       .special_tokens_in_text = options.special_tokens_in_text,
       .date = options.chat_date});
  for (const DataPart& part : show.parts) {
    show_part(part, show, vocabulary, format, seq_len, progress);
  }
  return 0;
}

} // namespace accrue::cli
