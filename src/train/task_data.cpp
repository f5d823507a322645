#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "accrue/core/error.h"
#include "memory/meter.h"
#include "text/show.h"
#include "train/task.h"

// The data of a task: from files to samples in order.

namespace accrue {
namespace {

constexpr uint64_t kOrderStream = 1; // keeps order and weights independent

} // namespace

std::shared_ptr<const Corpus> Task::open_corpus(
    const std::vector<std::string>& paths,
    const Vocabulary& vocabulary,
    const ChatFormat& format,
    const report::Tick& tick) {
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
  counts_.cut += corpus->counts().cut;
  counts_.whole_tokens += corpus->counts().whole_tokens;
  counts_.cut_tokens += corpus->counts().cut_tokens;
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

void Task::load_data(const report::Tick& tick) {
  {
    // A tokenizer takes tens of MiB, which the run can use.
    Vocabulary vocabulary = open_vocabulary(source_);
    ChatFormat format(vocabulary, source_.folder(), chat_options(vocabulary));
    train_set_.emplace(
        open_corpus(options_.data, vocabulary, format, tick),
        *options_.seq_len,
        options_.packing);
    if (!options_.valid.empty()) {
      valid_set_.emplace(
          open_corpus({options_.valid}, vocabulary, format, tick),
          *options_.seq_len,
          options_.packing);
    }
    if (train_set_->corpus().kind() != ExampleKind::kText) {
      chat_ = {
          format.description(),
          show(vocabulary, train_set_->sample(0).sequences[0]),
          format.stop_tokens()};
    }
  }
  memory::trim();
  if (options_.global_batch_tokens &&
      train_set_->corpus().kind() != ExampleKind::kText) {
    throw ConfigError(
        "[config] --global-batch-tokens counts samples of --seq-len, which "
        "conversations are not; give --global-batch.");
  }
  if (options_.valid_fraction) {
    uint64_t all = train_set_->size();
    auto held = static_cast<uint64_t>(
        std::ceil(static_cast<double>(all) * *options_.valid_fraction));
    valid_set_.emplace(*train_set_, all - held, all);
    train_set_.emplace(Dataset(*train_set_, 0, all - held));
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
  order_.emplace(
      train_set_->size(),
      mix(static_cast<uint64_t>(options_.seed), kOrderStream));
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

} // namespace accrue
