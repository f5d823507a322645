#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/generate/generate.h"
#include "cli/arguments.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/waiting.h"
#include "io/json.h"
#include "text/chat.h"
#include "text/unicode.h"
#include "train/model_source.h"
#include "train/option_text.h"

namespace accrue::cli {
namespace {

struct GenerateFlags {
  std::string model;
  std::string prompt;
  int64_t max_tokens = GenerateOptions{}.max_tokens;
  SamplingOptions sampling;
  bool chat = false;
  ChatTemplate chat_template = ChatTemplate::kAuto;
  Dtype dtype = Dtype::kFp32;
  int64_t threads = 0;
  bool json = false;
};

/// Prints text as its tokens come; a character only once it is whole.
class Stream {
 public:
  /// `before`: what the text continues. A space between them is shown.
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
  /// All of the text that was added.
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

/// What the model sees first.
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
      ids.insert(ids.begin(), vocabulary.end_of_text()); // ends a document
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
  // An answer is a text of its own.
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

GenerateFlags parse_generate(const std::vector<std::string>& arguments) {
  GenerateFlags options;
  std::string dtype = "fp32";
  std::string chat_template = "auto";
  CLI::App app("Continue a prompt with a trained model.", "accrue generate");
  app.option_defaults()->always_capture_default();
  app.add_option(
         "--model",
         options.model,
         "folder with config.json and weights, or with an adapter")
      ->required()
      ->type_name("DIR");
  app.add_option("--prompt", options.prompt, "text to continue")
      ->type_name("TEXT");
  app.add_flag(
      "--chat", options.chat, "the prompt is a user's message to be answered");
  app.add_option(
         "--chat-template",
         chat_template,
         "auto, chatml, llama3, mistral or plain")
      ->type_name("NAME");
  app.add_option("--max-tokens", options.max_tokens, "tokens to generate")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  app.add_option(
         "--temperature",
         options.sampling.temperature,
         "0 = always the likeliest")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  app.add_option(
         "--top-p",
         options.sampling.top_p,
         "sample from the likeliest tokens that "
         "hold this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("X");
  app.add_option(
         "--top-k",
         options.sampling.top_k,
         "and from no more than this many; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->type_name("K");
  app.add_option("--seed", options.sampling.seed, "of the sampling")
      ->type_name("N");
  app.add_option("--dtype", dtype, "fp32, fp64 or bf16")->type_name("NAME");
  app.add_option("--threads", options.threads, "0 = all cores that may be used")
      ->type_name("N");
  app.add_flag("--json", options.json, "one object with prompt and text");
  parse_arguments(app, arguments);
  try {
    option_text::parse(dtype, options.dtype);
    option_text::parse(chat_template, options.chat_template);
  } catch (const ConfigError& error) {
    throw ConfigError(
        fmt::format("[config] --dtype or --chat-template: {}.", error.what()));
  }
  return options;
}

} // namespace

int run_generate(const std::vector<std::string>& arguments) {
  GenerateFlags options = parse_generate(arguments);
  set_threads(options.threads);
  const Waiting waiting;
  ModelSource source = find_model(options.model);
  print_warnings(source);
  if (!source.has_weights()) {
    throw DataError(fmt::format(
        "[model] {} holds no weights. Give the folder of a trained model.",
        options.model));
  }
  Vocabulary vocabulary = open_vocabulary(source);
  Transformer model = open_model(source, options.dtype, 0);
  if (!options.json && !options.chat) {
    fmt::print("{}", options.prompt);
    std::fflush(stdout);
  }
  std::string text =
      continue_prompt(model, vocabulary, source.folder(), options);
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
