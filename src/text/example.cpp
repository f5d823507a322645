// SPDX-License-Identifier: Apache-2.0
#include "text/example.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/json_parser.h"
#include "text/record.h"

namespace accrue {
namespace {

using io::OrderedJson;

[[noreturn]] void fail(const std::string& what) {
  throw LineProblem(what);
}

const std::string& text_of(const OrderedJson& object, const char* key) {
  auto it = object.find(key);
  if (it == object.end()) {
    fail(fmt::format("has no \"{}\"", key));
  }
  if (!it->is_string()) {
    fail(fmt::format(
        "\"{}\" must be a string, got {}", key, io::type_name(*it)));
  }
  return it->get_ref<const std::string&>();
}

/// Reads a turn, which is a string or an array of messages.
OrderedJson read_turn(
    const OrderedJson& json,
    const char* key,
    const char* role) {
  if (auto it = json.find(key); it != json.end() && it->is_array()) {
    return *it;
  }
  return OrderedJson::array(
      {{{"role", role}, {"content", text_of(json, key)}}});
}

/// Compares values without regard to the order of keys.
bool is_same(const OrderedJson& a, const OrderedJson& b) {
  return io::Json(a) == io::Json(b);
}

/// Returns the number of messages that two lists have in common at their start.
size_t common_start(const OrderedJson& a, const OrderedJson& b) {
  size_t count = 0;
  while (count < std::min(a.size(), b.size()) && is_same(a[count], b[count])) {
    ++count;
  }
  return count;
}

class LineReader {
 public:
  LineReader(
      const OrderedJson& json,
      const ExampleOptions& options,
      Vocabulary::Encoder& encoder)
      : json_(json), options_(options), encoder_(encoder) {}

  Example read();

 private:
  void read_text();
  std::vector<uint32_t> document(const std::string& text);

  /// Makes a conversation with the variables that a template may use besides
  /// the messages.
  Conversation begin_conversation() const;
  void read_preference();

  /// Adds an answer to a prompt, which `answer` may repeat. The prompt is not
  /// trained on.
  void add_preferred(
      const char* key,
      const OrderedJson& prompt,
      const OrderedJson& answer);

  /// Reads two texts without a prompt: the tokens that both begin with are the
  /// prompt.
  void read_text_pair();

  void add_chat(const Conversation& conversation) {
    auto sequence = options_.format->tokenize(conversation, encoder_);
    limit(sequence);
    example_.sequences.push_back(std::move(sequence));
  }

  void limit(TrainingSequence& sequence);

  const OrderedJson& json_;
  const ExampleOptions& options_;
  Vocabulary::Encoder& encoder_;
  Example example_;
};

Example LineReader::read() {
  if (!json_.is_object()) {
    fail(fmt::format("must be an object, got {}", io::type_name(json_)));
  }
  const bool pair = json_.contains("chosen") || json_.contains("rejected");
  if (options_.preference) {
    read_preference();
  } else if (pair) {
    fail("is a preference pair, which only --objective dpo trains on");
  } else if (json_.contains("messages")) {
    example_.kind = ExampleKind::kChat;
    Conversation conversation = begin_conversation();
    conversation.append(json_["messages"], "messages");
    add_chat(conversation);
  } else if (json_.contains("prompt") || json_.contains("completion")) {
    example_.kind = ExampleKind::kChat;
    Conversation conversation = begin_conversation();
    conversation.append(read_turn(json_, "prompt", "user"), "prompt");
    conversation.prompt_messages = conversation.messages.size();
    conversation.append(
        read_turn(json_, "completion", "assistant"), "completion");
    add_chat(conversation);
  } else if (json_.contains("text")) {
    read_text();
  } else {
    fail(
        "has no \"text\", \"messages\", \"prompt\" and \"completion\", "
        "\"conversations\", or \"instruction\" and \"output\"");
  }
  if (example_.dropped) {
    example_.sequences.clear();
  }
  return std::move(example_);
}

void LineReader::read_text() {
  const std::string& text = text_of(json_, "text");
  if (options_.vocabulary->is_bytes() && text.find('\0') != std::string::npos) {
    fail("\"text\" contains a NUL character");
  }
  if (text.empty()) {
    return;
  }
  example_.sequences.push_back({document(text), {}});
}

std::vector<uint32_t> LineReader::document(const std::string& text) {
  std::vector<uint32_t> tokens = encoder_(text, {.special_tokens = false});
  options_.vocabulary->begin_document(tokens);
  options_.vocabulary->end_document(tokens);
  return tokens;
}

Conversation LineReader::begin_conversation() const {
  Conversation conversation;
  for (const char* key : {"tools", "documents"}) {
    if (auto it = json_.find(key); it != json_.end()) {
      conversation.names[key] = *it;
    }
  }
  if (auto it = json_.find("chat_template_kwargs"); it != json_.end()) {
    if (!it->is_object()) {
      fail(fmt::format(
          "\"chat_template_kwargs\" must be an object, got {}",
          io::type_name(*it)));
    }
    conversation.names.update(*it);
  }
  return conversation;
}

void LineReader::read_preference() {
  example_.kind = ExampleKind::kPreference;
  for (const char* key : {"chosen", "rejected"}) {
    if (!json_.contains(key)) {
      fail("has no \"chosen\" and \"rejected\"");
    }
    const OrderedJson& answer = json_[key];
    const auto* text = answer.get_ptr<const std::string*>();
    if (answer.empty() || (text != nullptr && text->empty())) {
      fail(fmt::format("has an empty \"{}\"", key));
    }
  }
  if (is_same(json_["chosen"], json_["rejected"])) {
    example_.dropped = true; // nothing to prefer
    return;
  }
  if (!json_.contains("prompt") && json_["chosen"].is_string()) {
    read_text_pair();
    return;
  }
  OrderedJson chosen = read_turn(json_, "chosen", "assistant");
  OrderedJson rejected = read_turn(json_, "rejected", "assistant");
  OrderedJson prompt;
  if (json_.contains("prompt")) {
    prompt = read_turn(json_, "prompt", "user");
  } else {
    size_t shared = common_start(chosen, rejected);
    if (shared == 0) {
      fail(
          "has no \"prompt\", and \"chosen\" and \"rejected\" don't begin "
          "with the same message");
    }
    auto first = chosen.begin();
    prompt = std::vector(first, first + static_cast<std::ptrdiff_t>(shared));
  }
  add_preferred("chosen", prompt, chosen);
  add_preferred("rejected", prompt, rejected);
}

void LineReader::add_preferred(
    const char* key,
    const OrderedJson& prompt,
    const OrderedJson& answer) {
  const bool repeats = common_start(prompt, answer) == prompt.size();
  auto begin = answer.begin() +
      (repeats ? static_cast<std::ptrdiff_t>(prompt.size()) : 0);
  Conversation conversation = begin_conversation();
  conversation.append(prompt, "prompt");
  conversation.prompt_messages = conversation.messages.size();
  conversation.append(OrderedJson(std::vector(begin, answer.end())), key);
  add_chat(conversation);
}

void LineReader::read_text_pair() {
  std::vector<TrainingSequence> pair;
  for (const char* key : {"chosen", "rejected"}) {
    TrainingSequence sequence;
    sequence.tokens = document(text_of(json_, key));
    sequence.loss_mask.assign(sequence.tokens.size(), 1);
    pair.push_back(std::move(sequence));
  }
  auto [first, second] = std::ranges::mismatch(pair[0].tokens, pair[1].tokens);
  auto shared = first - pair[0].tokens.begin();
  for (TrainingSequence& sequence : pair) {
    std::fill_n(sequence.loss_mask.begin(), shared, uint8_t{0});
    limit(sequence);
    example_.sequences.push_back(std::move(sequence));
  }
}

void LineReader::limit(TrainingSequence& sequence) {
  auto limit = static_cast<size_t>(options_.seq_len) + 1;
  if (sequence.tokens.size() > limit) {
    if (options_.too_long == TooLong::kError) {
      fail(fmt::format(
          "has {} tokens, more than --seq-len {} allows; --too-long cut or "
          "drop goes on",
          sequence.tokens.size(),
          options_.seq_len));
    }
    example_.truncated = options_.too_long == TooLong::kTruncate;
    example_.dropped |= options_.too_long == TooLong::kDrop;
    example_.whole_tokens += sequence.tokens.size();
    example_.removed_tokens += sequence.tokens.size() - limit;
    sequence.tokens.resize(limit);
    sequence.loss_mask.resize(limit);
  }
  // The first token is not a target.
  bool trains = std::any_of(
      sequence.loss_mask.begin() + (sequence.loss_mask.empty() ? 0 : 1),
      sequence.loss_mask.end(),
      [](uint8_t t) { return t != 0; });
  example_.dropped |= !trains;
}

} // namespace

Example read_example(
    std::string_view record,
    const ExampleOptions& options,
    Vocabulary::Encoder& encoder) {
  Example example;
  try {
    OrderedJson json = normalize_record(io::parse_json(record));
    example = LineReader(json, options, encoder).read();
  } catch (const io::JsonError& error) {
    example.problem = fmt::format("is not valid JSON: {}", error.what());
    example.problem_offset = error.offset();
  } catch (const LineProblem& problem) {
    example.problem = problem.what();
  }
  return example;
}

} // namespace accrue
