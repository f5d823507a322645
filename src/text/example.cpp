#include "text/example.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/json_parser.h"
#include "text/record.h"

namespace accrue {
namespace {

using Problem = RecordProblem;

[[noreturn]] void fail(std::string what) {
  throw Problem{std::move(what)};
}

const std::string& text_of(const io::Json& object, const char* key) {
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

std::vector<Message> read_messages(const io::Json& json, const char* key) {
  const io::Json& list = json.at(key);
  if (!list.is_array()) {
    fail(fmt::format(
        "\"{}\" must be an array, got {}", key, io::type_name(list)));
  }
  std::vector<Message> messages;
  for (const io::Json& item : list) {
    if (!item.is_object()) {
      fail(fmt::format(
          "a message in \"{}\" must be an object, got {}",
          key,
          io::type_name(item)));
    }
    Message message{text_of(item, "role"), text_of(item, "content")};
    if (message.role != "system" && message.role != "user" &&
        message.role != "assistant") {
      fail(fmt::format(
          "a message's \"role\" must be system, user or assistant, got \"{}\"",
          message.role));
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

/// A turn as a string, or as the messages it consists of.
std::vector<Message> read_turn(
    const io::Json& json,
    const char* key,
    const char* role) {
  if (json.contains(key) && json.at(key).is_array()) {
    return read_messages(json, key);
  }
  return {{role, text_of(json, key)}};
}

std::vector<Message> joined(
    std::vector<Message> messages,
    const std::vector<Message>& more) {
  messages.insert(messages.end(), more.begin(), more.end());
  return messages;
}

class LineReader {
 public:
  LineReader(
      const io::Json& json,
      const ExampleOptions& options,
      Vocabulary::Encoder& encoder)
      : json_(json), options_(options), encoder_(encoder) {}

  Example read() {
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
      add_chat(read_messages(json_, "messages"));
    } else if (json_.contains("prompt") || json_.contains("completion")) {
      example_.kind = ExampleKind::kChat;
      add_chat(joined(
          read_turn(json_, "prompt", "user"),
          read_turn(json_, "completion", "assistant")));
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

 private:
  void read_text() {
    const std::string& text = text_of(json_, "text");
    if (options_.vocabulary->is_bytes() &&
        text.find('\0') != std::string::npos) {
      fail("\"text\" contains a NUL character");
    }
    if (text.empty()) {
      return;
    }
    TrainingSequence sequence;
    auto& tokens = sequence.tokens;
    tokens = encoder_(text, {.special_tokens = false});
    options_.vocabulary->begin_document(tokens);
    options_.vocabulary->end_document(tokens);
    example_.sequences.push_back(std::move(sequence));
  }

  void read_preference() {
    example_.kind = ExampleKind::kPreference;
    if (!json_.contains("chosen") || !json_.contains("rejected") ||
        !json_.contains("prompt")) {
      fail("has no \"prompt\", \"chosen\" and \"rejected\"");
    }
    std::vector<Message> prompt = read_turn(json_, "prompt", "user");
    // Nothing in the prompt is part of what is preferred.
    size_t shared = prompt.size();
    add_chat(joined(prompt, read_turn(json_, "chosen", "assistant")), shared);
    add_chat(joined(prompt, read_turn(json_, "rejected", "assistant")), shared);
  }

  /// Answers among the first `prompt` messages are not trained on.
  void add_chat(std::vector<Message> messages, size_t prompt = 0) {
    bool answered = std::any_of(
        messages.begin() + static_cast<std::ptrdiff_t>(prompt),
        messages.end(),
        [](const Message& m) { return m.role == "assistant"; });
    if (!answered) {
      fail("holds no message of the assistant, so nothing to train on");
    }
    auto sequence =
        options_.format->tokenize(options_.format->render(messages), encoder_);
    if (prompt > 0) {
      std::vector<Message> before(
          messages.begin(),
          messages.begin() + static_cast<std::ptrdiff_t>(prompt));
      size_t length =
          options_.format->tokenize(options_.format->render(before), encoder_)
              .tokens.size();
      std::fill_n(
          sequence.trained.begin(),
          std::min(length, sequence.trained.size()),
          uint8_t{0});
    }
    limit(sequence);
    example_.sequences.push_back(std::move(sequence));
  }

  void limit(TrainingSequence& sequence) {
    auto limit = static_cast<size_t>(options_.seq_len) + 1;
    if (sequence.tokens.size() > limit) {
      if (options_.too_long == TooLong::kError) {
        fail(fmt::format(
            "has {} tokens, more than --seq-len {} allows; --too-long cut or "
            "drop goes on",
            sequence.tokens.size(),
            options_.seq_len));
      }
      example_.cut = options_.too_long == TooLong::kCut;
      example_.dropped |= options_.too_long == TooLong::kDrop;
      sequence.tokens.resize(limit);
      sequence.trained.resize(limit);
    }
    // The first token is nobody's target.
    bool trains = std::any_of(
        sequence.trained.begin() + (sequence.trained.empty() ? 0 : 1),
        sequence.trained.end(),
        [](uint8_t t) { return t != 0; });
    example_.dropped |= !trains;
  }

  const io::Json& json_;
  const ExampleOptions& options_;
  Vocabulary::Encoder& encoder_;
  Example example_;
};

} // namespace

Example read_example(
    std::string_view record,
    const ExampleOptions& options,
    Vocabulary::Encoder& encoder) {
  Example example;
  try {
    io::Json json = normalize_record(io::parse_json(record));
    example = LineReader(json, options, encoder).read();
  } catch (const io::JsonError& error) {
    example.problem = fmt::format("is not valid JSON: {}", error.what());
    example.problem_offset = error.offset();
  } catch (const Problem& problem) {
    example.problem = problem.what;
  }
  return example;
}

} // namespace accrue
