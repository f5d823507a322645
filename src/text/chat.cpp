#include "text/chat.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "accrue/core/error.h"

namespace accrue {
namespace {

struct Marks {
  const char* name;
  std::vector<const char*> needed; // tokens
  const char* end; // of an answer; nullptr: the end of text
};

const Marks& marks_of(ChatTemplate which) {
  static const std::array<Marks, 5> kMarks{{
      {"auto", {}, nullptr},
      {"chatml", {"<|im_start|>", "<|im_end|>"}, "<|im_end|>"},
      {"llama3",
       {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
       "<|eot_id|>"},
      {"mistral", {}, nullptr},
      {"plain", {}, nullptr},
  }};
  return kMarks[static_cast<size_t>(which)];
}

bool has_all(const Vocabulary& vocabulary, ChatTemplate which) {
  for (const char* token : marks_of(which).needed) {
    if (vocabulary.is_bytes() || !vocabulary.tokenizer()->id_of(token)) {
      return false;
    }
  }
  return true;
}

ChatTemplate choose(const Vocabulary& vocabulary) {
  for (ChatTemplate which : {ChatTemplate::kLlama3, ChatTemplate::kChatml}) {
    if (has_all(vocabulary, which)) {
      return which;
    }
  }
  bool mistral =
      !vocabulary.is_bytes() && vocabulary.tokenizer()->id_of("[INST]");
  return mistral ? ChatTemplate::kMistral : ChatTemplate::kPlain;
}

std::string_view trimmed(std::string_view text) {
  constexpr const char* kSpaces = " \t\r\n";
  size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) {
    return "";
  }
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

} // namespace

ChatFormat::ChatFormat(const Vocabulary& vocabulary, ChatTemplate which)
    : vocabulary_(vocabulary),
      which_(which == ChatTemplate::kAuto ? choose(vocabulary) : which) {
  if (!has_all(vocabulary, which_)) {
    throw ConfigError(fmt::format(
        "[chat] the template {} needs the tokens {} and the tokenizer does not "
        "have them all. Pass --chat-template plain, or auto.",
        marks_of(which_).name,
        fmt::join(marks_of(which_).needed, ", ")));
  }
}

std::vector<ChatPart> ChatFormat::render(
    const std::vector<Message>& messages,
    bool answer_next) const {
  std::vector<ChatPart> parts;
  auto add = [&](std::string text, bool trained) {
    if (!parts.empty() && parts.back().trained == trained) {
      parts.back().text += text;
    } else if (!text.empty()) {
      parts.push_back({std::move(text), trained});
    }
  };
  auto header = [&](const std::string& role) {
    if (which_ == ChatTemplate::kChatml) {
      add("<|im_start|>" + role + "\n", false);
    } else if (which_ == ChatTemplate::kLlama3) {
      add("<|start_header_id|>" + role + "<|end_header_id|>\n\n", false);
    }
  };
  std::string system; // waits for the first user, in Mistral's
  for (const Message& message : messages) {
    const bool answer = message.role == "assistant";
    header(message.role);
    switch (which_) {
      case ChatTemplate::kChatml:
        add(message.content + "<|im_end|>", answer);
        add("\n", false);
        break;
      case ChatTemplate::kLlama3:
        add(std::string(trimmed(message.content)) + "<|eot_id|>", answer);
        break;
      case ChatTemplate::kMistral:
        if (message.role == "system") {
          system = message.content + "\n\n";
        } else if (answer) {
          // The end of text is added as an id: it may have no spelling.
          parts.push_back({" " + message.content, true});
        } else {
          add("[INST] " + std::exchange(system, "") + message.content +
                  " [/INST]",
              false);
        }
        break;
      default:
        if (answer) {
          parts.push_back({message.content, true});
        } else {
          add(message.content, false);
        }
    }
  }
  if (answer_next) {
    header("assistant");
  }
  return parts;
}

TokenizedChat ChatFormat::tokenize(
    const std::vector<ChatPart>& parts,
    Vocabulary::Encoder& encoder) const {
  TokenizedChat chat;
  vocabulary_.begin_document(chat.tokens);
  const bool closed_by_id = marks_of(which_).end == nullptr;
  bool first = true;
  for (const ChatPart& part : parts) {
    auto ids =
        encoder(part.text, {.special_tokens = false, .continued = !first});
    chat.tokens.insert(chat.tokens.end(), ids.begin(), ids.end());
    if (part.trained && closed_by_id) {
      chat.tokens.push_back(vocabulary_.end_of_text());
    }
    // What was not marked before: untrained.
    chat.trained.resize(chat.tokens.size(), 0);
    if (part.trained) {
      size_t count = ids.size() + (closed_by_id ? 1 : 0);
      std::fill(
          chat.trained.end() - static_cast<std::ptrdiff_t>(count),
          chat.trained.end(),
          uint8_t{1});
    }
    first = false;
  }
  chat.trained.resize(chat.tokens.size(), 0);
  return chat;
}

std::vector<uint32_t> ChatFormat::stop_tokens() const {
  std::vector<uint32_t> stops{vocabulary_.end_of_text()};
  if (const char* end = marks_of(which_).end) {
    stops.push_back(*vocabulary_.tokenizer()->id_of(end));
  }
  return stops;
}

} // namespace accrue
