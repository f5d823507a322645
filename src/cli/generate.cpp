// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/device/device.h"
#include "accrue/generate/generate.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/flag_parser.h"
#include "cli/threads.h"
#include "io/json.h"
#include "run/model_source.h"
#include "text/chat.h"
#include "text/unicode.h"

namespace accrue::cli {
namespace {

struct GenerateFlags {
  std::string model;
  std::string prompt;
  bool chat = false;
  ChatTemplate chat_template = ChatTemplate::kAuto;
  int64_t max_tokens = GenerateOptions{}.max_tokens;
  SamplingOptions sampling;
  Dtype dtype = Dtype::kFp32;
  std::string device = "cpu";
  int64_t threads = 0;
  bool json = false;

  template <class Flags, class Visitor>
  static void visit(Flags& f, Visitor&& v);
};

template <class Flags, class Visitor>
void GenerateFlags::visit(Flags& f, Visitor&& v) {
  v({.name = "model",
     .value = "DIR",
     .help = "folder with config.json and weights, or with an adapter",
     .required = true},
    f.model);
  v({.name = "prompt", .value = "TEXT", .help = "text to continue"}, f.prompt);
  v({.name = "chat", .help = "the prompt is a user's message to be answered"},
    f.chat);
  v({.name = "chat-template", .help = "how the conversation is written"},
    f.chat_template);
  v({.name = "max-tokens",
     .value = "N",
     .help = "tokens to generate",
     .bound = at_least(0)},
    f.max_tokens);
  v({.name = "temperature",
     .value = "X",
     .help = "divisor of the logits; 0 = always the likeliest token",
     .bound = finite()},
    f.sampling.temperature);
  v({.name = "top-p",
     .value = "X",
     .help = "sample from the likeliest tokens that hold this probability",
     .bound = from_to(0, 1)},
    f.sampling.top_p);
  v({.name = "top-k",
     .value = "K",
     .help = "most tokens to sample from; 0 = all",
     .bound = at_least(0)},
    f.sampling.top_k);
  v({.name = "seed", .value = "N", .help = "seed of the sampling"},
    f.sampling.seed);
  v({.name = "dtype",
     .help = "matrix work; bf16 keeps weights and sums in fp32"},
    f.dtype);
  v({.name = "device",
     .value = "cpu|cuda|cuda:N",
     .help = "where the model runs; cuda: the first GPU"},
    f.device);
  v({.name = "threads",
     .value = "N",
     .help = "0 = all cores that may be used",
     .bound = at_least(0)},
    f.threads);
  v({.name = "json", .help = "print one JSON object with prompt and text"},
    f.json);
}

/// Prints text token by token; a character only once all its bytes are there.
class Stream {
 public:
  /// `before`: tokens that the text continues. The space that a tokenizer may
  /// put between the two is printed.
  Stream(
      const Vocabulary& vocabulary,
      std::vector<uint32_t> before,
      bool prints)
      : vocabulary_(vocabulary),
        prints_(prints),
        ids_(std::move(before)),
        begin_(vocabulary.decode(ids_).size()),
        shown_(begin_) {}

  void add(uint32_t token) {
    ids_.push_back(token);
    std::string text = vocabulary_.decode(ids_);
    bool whole = vocabulary_.is_bytes() || !text.ends_with("\xEF\xBF\xBD");
    if (whole) {
      show(text);
    }
  }
  /// Prints the rest. Returns the text of all tokens that were added.
  std::string finish() {
    std::string text = vocabulary_.decode(ids_);
    show(text);
    return text.substr(std::min(begin_, text.size()));
  }

 private:
  void show(const std::string& text) {
    if (prints_ && text.size() > shown_) {
      fmt::print("{}", text.substr(shown_));
      std::fflush(stdout);
    }
    shown_ = std::max(shown_, text.size());
  }

  const Vocabulary& vocabulary_;
  bool prints_;
  std::vector<uint32_t> ids_;
  size_t begin_;
  size_t shown_;
};

/// Returns the tokens that the model continues.
std::vector<uint32_t> prompt_ids(
    const GenerateFlags& flags,
    const Vocabulary& vocabulary,
    const ChatFormat& format) {
  if (size_t bad = unicode::find_invalid(flags.prompt);
      bad != std::string::npos && !vocabulary.is_bytes()) {
    throw ConfigError(
        fmt::format("[config] --prompt is not UTF-8: byte {} is not.", bad));
  }
  Vocabulary::Encoder encoder(vocabulary);
  std::vector<uint32_t> ids;
  if (flags.chat) {
    Conversation conversation;
    conversation.append(
        {{{"role", "user"}, {"content", flags.prompt}}}, "messages");
    try {
      ids = format.tokenize_prompt(conversation, encoder);
    } catch (const LineProblem& problem) {
      throw DataError(fmt::format(
          "[chat template] the prompt {}. Pass another --chat-template, or "
          "leave --chat out.",
          problem.what()));
    }
  } else {
    ids = encoder(flags.prompt, {.special_tokens = false});
    vocabulary.begin_document(ids);
    if (vocabulary.is_bytes()) {
      ids.insert(
          ids.begin(), vocabulary.end_of_text()); // ends the document before
    }
  }
  if (ids.empty()) {
    ids.push_back(vocabulary.end_of_text());
  }
  vocabulary.check_embedded(ids, [] { return "the prompt"; });
  return ids;
}

/// Returns the text that continues the prompt, and prints it unless --json.
std::string continue_prompt(
    const Transformer& model,
    const Vocabulary& vocabulary,
    const std::filesystem::path& folder,
    const GenerateFlags& flags) {
  ChatFormat format(vocabulary, folder, {.which = flags.chat_template});
  const std::vector<uint32_t> prompt = prompt_ids(flags, vocabulary, format);
  std::vector<uint32_t> stops{vocabulary.end_of_text()};
  if (flags.chat) {
    stops = format.stop_tokens();
  }
  // An answer does not continue the text of the prompt.
  Stream stream(
      vocabulary, flags.chat ? std::vector<uint32_t>{} : prompt, !flags.json);
  generate(
      model,
      std::vector<int64_t>(prompt.begin(), prompt.end()),
      {.sampling = flags.sampling,
       .max_tokens = flags.max_tokens,
       .stop_tokens = {stops.begin(), stops.end()}},
      [&](int64_t token) {
        // The model may have more embeddings than the vocabulary has tokens.
        if (token < static_cast<int64_t>(vocabulary.size())) {
          stream.add(static_cast<uint32_t>(token));
        }
      });
  return stream.finish();
}

} // namespace

int run_generate(const std::vector<std::string>& arguments) {
  const auto flags = parse_command<GenerateFlags>(
      "generate", "Continue a prompt with a trained model.", arguments);
  const Threads threads(flags.threads);
  ModelSource source = find_model(flags.model);
  print_warnings(source);
  if (!source.has_weights()) {
    throw DataError(fmt::format(
        "[model] {} holds no weights. Give the folder of a trained model.",
        flags.model));
  }
  Vocabulary vocabulary = open_vocabulary(source);
  Transformer model = open_model(
      source, {.dtype = flags.dtype, .device = open_device(flags.device)});
  if (!flags.json && !flags.chat) {
    fmt::print("{}", flags.prompt);
    std::fflush(stdout);
  }
  std::string text = continue_prompt(model, vocabulary, source.folder(), flags);
  if (flags.json) {
    // A half-trained model may write bytes that are not UTF-8.
    io::OrderedJson json{{"prompt", flags.prompt}, {"text", text}};
    fmt::print(
        "{}\n",
        json.dump(-1, ' ', false, io::OrderedJson::error_handler_t::replace));
  } else {
    fmt::print("\n");
  }
  return 0;
}

} // namespace accrue::cli
