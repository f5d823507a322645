#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <set>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "memory/meter.h"
#include "text/show.h"
#include "train/task.h"

// The data of a task: from files to samples in order.

namespace accrue {
namespace {

constexpr uint64_t kOrderStream = 1; // keeps order and weights independent

/// Leaves in `parts` what is not held back.
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

/// By its name, or of bytes, which have none, by its number.
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

} // namespace

std::shared_ptr<const Corpus> Task::open_corpus(
    const std::vector<std::string>& paths,
    const Vocabulary& vocabulary,
    const ChatFormat& format,
    const ProgressCallback& tick) {
  auto corpus = std::make_shared<Corpus>(Corpus::open(
      {.paths = paths,
       .skip_bad_lines = options_.skip_bad_lines,
       .cache = default_cache(),
       .vocabulary = vocabulary,
       .format = &format,
       .preference = is_preference(),
       .seq_len = *options_.seq_len,
       .too_long = options_.too_long,
       .threads = at::get_num_threads()},
      tick));
  counts_.bad_lines += corpus->counts().bad_lines;
  counts_.truncated += corpus->counts().truncated;
  counts_.whole_tokens += corpus->counts().whole_tokens;
  counts_.removed_tokens += corpus->counts().removed_tokens;
  counts_.dropped += corpus->counts().dropped;
  for (const auto& [extension, count] : corpus->left_out()) {
    left_out_[extension] += count;
  }
  return corpus;
}

/// With a date if the template asks for one, so that a run that goes on
/// tomorrow has the same data.
ChatOptions Task::chat_options(const Vocabulary& vocabulary) {
  ChatOptions chat{
      .which = options_.chat_template,
      .train_on = options_.train_on,
      .special_tokens_in_text = options_.special_tokens_in_text,
      .date = options_.chat_date};
  if (chat.date.empty() &&
      ChatFormat(vocabulary, source_.folder(), chat).uses_date()) {
    std::tm now = jinja::local_time();
    chat.date = fmt::format(
        "{:04}-{:02}-{:02}", now.tm_year + 1900, now.tm_mon + 1, now.tm_mday);
    options_.chat_date = chat.date;
  }
  return chat;
}

void Task::find_trained_tokens(const Vocabulary& vocabulary) {
  Problems problems;
  std::set<int64_t> ids;
  for (const std::string& name : options_.train_embeddings) {
    if (name == "added" && vocabulary.tokenizer()) {
      for (const auto& [id, token] :
           vocabulary.tokenizer()->added_tokens().by_id()) {
        if (id < source_.config.vocab_size) {
          ids.insert(id);
        } else {
          ++tokens_without_row_;
        }
      }
      continue;
    }
    const auto id = find_token(vocabulary, name);
    if (id && *id < source_.config.vocab_size) {
      ids.insert(*id);
    } else {
      problems.add(fmt::format(
          "--train-embeddings: {} {}",
          name,
          id ? fmt::format(
                   "is token {}, and the model has {} embeddings. Enlarge them "
                   "first: resize_token_embeddings() in transformers",
                   *id,
                   source_.config.vocab_size)
             : "is no token"));
    }
  }
  if (ids.empty() && !options_.train_embeddings.empty()) {
    problems.add(
        "--train-embeddings: no token was added to the tokenizer that the "
        "model has an embedding for");
  }
  problems.throw_if_any<ConfigError>("config");
  trained_tokens_.assign(ids.begin(), ids.end());
}

void Task::load_data(const ProgressCallback& tick) {
  {
    // A tokenizer takes tens of MiB, which the run can use.
    Vocabulary vocabulary = open_vocabulary(source_);
    find_trained_tokens(vocabulary);
    ChatFormat format(vocabulary, source_.folder(), chat_options(vocabulary));
    auto open = [&](const std::vector<std::string>& paths) {
      return Dataset(
          open_corpus(paths, vocabulary, format, tick),
          *options_.seq_len,
          options_.packing);
    };
    std::vector<Dataset> train;
    for (const DataPart& part : parts_) {
      train.push_back(open(part.paths));
      if (!chat_ && train.back().corpus().kind() != ExampleKind::kText) {
        chat_ = {
            format.description(),
            show(vocabulary, train.back().sample(0).sequences[0]),
            format.stop_tokens()};
      }
    }
    if (options_.valid_fraction) {
      valid_set_.emplace(hold_back(train, *options_.valid_fraction, tick));
    }
    train_set_.emplace(std::move(train));
    if (!options_.valid.empty()) {
      valid_set_.emplace(open({options_.valid}));
    }
  }
  memory::trim();
  if (options_.global_batch_tokens && chat_) {
    throw ConfigError(
        "[config] --global-batch-tokens counts samples of --seq-len, which "
        "conversations are not; give --global-batch.");
  }
  auto available = static_cast<int64_t>(train_set_->size());
  if (available < global_batch_) {
    throw DataError(fmt::format(
        "[data] {} gives {} training samples of up to {} tokens, fewer "
        "than one global batch of {}. Add text, or lower --global-batch "
        "or --seq-len.",
        options_.data.front(),
        available,
        *options_.seq_len,
        global_batch_));
  }
  std::vector<SampleOrder::Part> order;
  for (size_t i = 0; i < parts_.size(); ++i) {
    order.push_back({train_set_->parts()[i].size(), parts_[i].share});
    if (order.back().num_samples == 0) {
      throw DataError(fmt::format(
          "[data] nothing of {} is left to train on: its samples are held back "
          "for validation. Add to it, or leave it out.",
          parts_[i].paths.front()));
    }
  }
  order_.emplace(
      order, mix(static_cast<uint64_t>(options_.seed), kOrderStream));
  if (options_.steps) {
    total_steps_ = *options_.steps;
    total_samples_ = total_steps_ * global_batch_;
  } else {
    total_samples_ = std::max<int64_t>(
        1,
        std::llround(
            static_cast<double>(available) * options_.epochs.value_or(1)));
    total_steps_ = (total_samples_ + global_batch_ - 1) / global_batch_;
  }
}

std::vector<std::string> Task::describe_data() const {
  std::vector<std::string> lines;
  for (size_t i = 0; i < parts_.size() && parts_.size() > 1; ++i) {
    const double share = static_cast<double>(order_->in_block(i)) /
        static_cast<double>(SampleOrder::kBlock);
    lines.push_back(fmt::format(
        "mixture      {:.2f} % {}, {} samples, about {:.2f} passes over them",
        100 * share,
        parts_[i].paths.front(),
        train_set_->parts()[i].size(),
        share * static_cast<double>(total_samples_) /
            static_cast<double>(train_set_->parts()[i].size())));
  }
  if (!trained_tokens_.empty()) {
    lines.push_back(fmt::format(
        "embeddings   rows of {} tokens are trained{}",
        trained_tokens_.size(),
        tokens_without_row_ > 0
            ? fmt::format("; {} added tokens have no row", tokens_without_row_)
            : ""));
  }
  return lines;
}

} // namespace accrue
