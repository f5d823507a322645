// SPDX-License-Identifier: Apache-2.0
#include "run/training_data.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <set>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "device/process.h"
#include "text/show.h"

namespace accrue {
namespace {

constexpr uint64_t kOrderStream = 1; // keeps order and weights independent

/// Splits off validation samples and leaves the others in `parts`.
std::vector<Dataset> hold_back(
    std::vector<Dataset>& parts,
    double fraction,
    const ProgressCallback& tick) {
  std::vector<Dataset> held;
  for (Dataset& part : parts) {
    Dataset::Split split =
        part.split(fraction, [&](uint64_t done, uint64_t total) {
          tick("choosing validation samples", done, total);
        });
    held.push_back(std::move(split.held));
    part = std::move(split.rest);
  }
  return held;
}

/// Finds a token by its name or, in a vocabulary of bytes, by its number.
std::optional<uint32_t> find_token(
    const Vocabulary& vocabulary,
    const std::string& name) {
  if (vocabulary.tokenizer()) {
    return vocabulary.tokenizer()->id_of(name);
  }
  uint32_t number = 0;
  const char* end = name.data() + name.size();
  const bool whole =
      !name.empty() && std::from_chars(name.data(), end, number).ptr == end;
  return whole ? std::optional(number) : std::nullopt;
}

/// Loads the data of a run, step by step.
class Loader {
 public:
  Loader(RunSpec& spec, bool pairs, const ProgressCallback& tick)
      : spec_(spec), options_(spec.options), pairs_(pairs), tick_(tick) {}

  TrainingData load();

 private:
  void open_files();
  std::shared_ptr<const Corpus> open_corpus(
      const std::vector<std::string>& paths,
      const Vocabulary& vocabulary,
      const ChatFormat& format);
  ChatOptions chat_options(const Vocabulary& vocabulary);
  void find_trained_tokens(const Vocabulary& vocabulary);
  void check_size() const;
  void make_order();
  void count_steps();

  RunSpec& spec_;
  TrainOptions& options_;
  bool pairs_;
  const ProgressCallback& tick_;
  TrainingData data_;
};

std::shared_ptr<const Corpus> Loader::open_corpus(
    const std::vector<std::string>& paths,
    const Vocabulary& vocabulary,
    const ChatFormat& format) {
  auto corpus = std::make_shared<Corpus>(Corpus::open(
      {.paths = paths,
       .skip_bad_lines = options_.skip_bad_lines,
       .cache = default_cache(),
       .vocabulary = vocabulary,
       .format = &format,
       .preference = pairs_,
       .seq_len = *options_.seq_len,
       .too_long = options_.too_long,
       .threads = at::get_num_threads()},
      tick_));
  data_.counts.bad_lines += corpus->counts().bad_lines;
  data_.counts.truncated += corpus->counts().truncated;
  data_.counts.whole_tokens += corpus->counts().whole_tokens;
  data_.counts.removed_tokens += corpus->counts().removed_tokens;
  data_.counts.dropped += corpus->counts().dropped;
  for (const auto& [extension, count] : corpus->left_out()) {
    data_.left_out[extension] += count;
  }
  return corpus;
}

ChatOptions Loader::chat_options(const Vocabulary& vocabulary) {
  ChatOptions chat{
      .which = options_.chat_template,
      .train_on = options_.train_on,
      .special_tokens_in_text = options_.special_tokens_in_text,
      .date = options_.chat_date};
  if (chat.date.empty() &&
      ChatFormat(vocabulary, spec_.source.folder(), chat).uses_date()) {
    std::tm now = jinja::local_time();
    chat.date = fmt::format(
        "{:04}-{:02}-{:02}", now.tm_year + 1900, now.tm_mon + 1, now.tm_mday);
    options_.chat_date = chat.date;
  }
  return chat;
}

void Loader::find_trained_tokens(const Vocabulary& vocabulary) {
  Problems problems;
  std::set<int64_t> ids;
  for (const std::string& name : options_.train_embeddings) {
    if (name == "added" && vocabulary.tokenizer()) {
      for (const auto& [id, token] :
           vocabulary.tokenizer()->added_tokens().by_id()) {
        if (id < spec_.source.config.vocab_size) {
          ids.insert(id);
        } else {
          ++data_.tokens_without_row;
        }
      }
      continue;
    }
    const auto id = find_token(vocabulary, name);
    if (id && *id < spec_.source.config.vocab_size) {
      ids.insert(*id);
    } else {
      problems.add(fmt::format(
          "--train-embeddings: {} {}",
          name,
          id ? fmt::format(
                   "is token {}, and the model has {} embeddings. Enlarge them "
                   "first: resize_token_embeddings() in transformers",
                   *id,
                   spec_.source.config.vocab_size)
             : "is no token"));
    }
  }
  if (ids.empty() && !options_.train_embeddings.empty()) {
    problems.add(
        "--train-embeddings: no token was added to the tokenizer that the "
        "model has an embedding for");
  }
  problems.throw_if_any<ConfigError>("config");
  data_.trained_tokens.assign(ids.begin(), ids.end());
}

TrainingData Loader::load() {
  open_files();
  device::trim_heap();
  check_size();
  make_order();
  count_steps();
  return std::move(data_);
}

void Loader::open_files() {
  // Freed at the end of this function: a tokenizer takes tens of MiB.
  Vocabulary vocabulary = open_vocabulary(spec_.source);
  find_trained_tokens(vocabulary);
  ChatFormat format(
      vocabulary, spec_.source.folder(), chat_options(vocabulary));
  auto open = [&](const std::vector<std::string>& paths) {
    return Dataset(
        open_corpus(paths, vocabulary, format),
        *options_.seq_len,
        options_.packing);
  };
  std::vector<Dataset> train;
  for (const DataPart& part : spec_.parts) {
    train.push_back(open(part.paths));
    if (!data_.chat && train.back().corpus().kind() != ExampleKind::kText) {
      data_.chat = {
          format.description(),
          show(vocabulary, train.back().sample(0).sequences[0]),
          format.stop_tokens()};
    }
  }
  if (options_.valid_fraction) {
    data_.valid.emplace(hold_back(train, *options_.valid_fraction, tick_));
  }
  data_.train.emplace(std::move(train));
  if (!options_.valid.empty()) {
    data_.valid.emplace(open({options_.valid}));
  }
}

void Loader::check_size() const {
  if (options_.global_batch_tokens && data_.chat) {
    throw ConfigError(
        "[config] --global-batch-tokens counts samples of --seq-len, which "
        "conversations are not; give --global-batch.");
  }
  const auto available = static_cast<int64_t>(data_.train->size());
  if (available < spec_.global_batch) {
    throw DataError(fmt::format(
        "[data] {} gives {} training samples of up to {} tokens, fewer "
        "than one global batch of {}. Add text, or lower --global-batch "
        "or --seq-len.",
        options_.data.front(),
        available,
        *options_.seq_len,
        spec_.global_batch));
  }
}

void Loader::make_order() {
  std::vector<SampleOrder::Part> order;
  for (size_t i = 0; i < spec_.parts.size(); ++i) {
    const DataPart& part = spec_.parts[i];
    order.push_back({data_.train->parts()[i].size(), part.share});
    if (order.back().num_samples == 0) {
      throw DataError(fmt::format(
          "[data] nothing of {} is left to train on: its samples are held back "
          "for validation. Add to it, or leave it out.",
          part.paths.front()));
    }
  }
  data_.order.emplace(
      order, mix(static_cast<uint64_t>(options_.seed), kOrderStream));
}

void Loader::count_steps() {
  const int64_t batch = spec_.global_batch;
  if (options_.steps) {
    data_.total_steps = *options_.steps;
    data_.total_samples = data_.total_steps * batch;
    return;
  }
  data_.total_samples = std::max<int64_t>(
      1,
      std::llround(
          static_cast<double>(data_.train->size()) *
          options_.epochs.value_or(1)));
  data_.total_steps = (data_.total_samples + batch - 1) / batch;
}

} // namespace

Sample TrainingData::sample_at(int64_t position) const {
  return train->sample(index_at(position));
}

TrainingData load_data(
    RunSpec& spec,
    bool pairs,
    const ProgressCallback& tick) {
  return Loader(spec, pairs, tick).load();
}

std::vector<std::string> describe_data(
    const RunSpec& spec,
    const TrainingData& data) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < spec.parts.size() && spec.parts.size() > 1; ++i) {
    const double share = static_cast<double>(data.order->in_block(i)) /
        static_cast<double>(SampleOrder::kBlock);
    const uint64_t samples = data.train->parts()[i].size();
    lines.push_back(fmt::format(
        "mixture      {:.2f} % {}, {} samples, about {:.2f} passes over them",
        100 * share,
        spec.parts[i].paths.front(),
        samples,
        share * static_cast<double>(data.total_samples) /
            static_cast<double>(samples)));
  }
  if (!data.trained_tokens.empty()) {
    lines.push_back(fmt::format(
        "embeddings   rows of {} tokens are trained{}",
        data.trained_tokens.size(),
        data.tokens_without_row > 0
            ? fmt::format(
                  "; {} added tokens have no row", data.tokens_without_row)
            : ""));
  }
  return lines;
}

} // namespace accrue
