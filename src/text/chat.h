#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "text/chat_options.h"
#include "text/chat_source.h"
#include "text/conversation.h"
#include "text/jinja/template.h"
#include "text/vocabulary.h"

namespace accrue {

/// Ids, and which of them are trained on.
struct TokenizedChat {
  std::vector<uint32_t> tokens;
  std::vector<uint8_t> trained; // of each token, 0 or 1
};

/// Writes conversations down in a template, and finds what is trained on.
/// Thread-safe.
class ChatFormat {
 public:
  /// Of the model in `folder`. Throws DataError or ConfigError if its template
  /// can't be read, or one of accrue's own needs tokens that `vocabulary` does
  /// not have.
  ChatFormat(
      const Vocabulary& vocabulary,
      const std::filesystem::path& folder,
      const ChatOptions& options);

  /// For people: "chatml, which the tokenizer's tokens suggest".
  const std::string& description() const {
    return source_.description;
  }
  /// Whether a template asks for the date.
  bool uses_date() const;
  /// Of all that decides the ids and what is trained on.
  uint64_t digest() const;

  /// Ids as transformers' apply_chat_template gives them. An answer is what the
  /// template marks as {% generation %}, else what it writes from where a
  /// prompt for it ends. Throws LineProblem.
  TokenizedChat tokenize(
      const Conversation& conversation,
      Vocabulary::Encoder& encoder) const;

  /// Ids of a conversation that is to be answered. Throws LineProblem.
  std::vector<uint32_t> tokenize_prompt(
      const Conversation& conversation,
      Vocabulary::Encoder& encoder) const;

  /// Ids that end an answer: the end of text, and the special token that the
  /// template writes last.
  std::vector<uint32_t> stop_tokens() const;

 private:
  struct Span { // bytes of a text, or tokens
    size_t begin = 0;
    size_t end = 0;
  };
  /// What a template makes of a conversation.
  struct Written {
    std::string text;
    std::vector<size_t> plain; // offsets where a token is only spelled
    std::vector<Span> marked; // {% generation %}
  };

  Written write(
      const Conversation& conversation,
      size_t messages,
      bool answer_next) const;
  std::vector<size_t> wanted_answers(const Conversation& conversation) const;
  std::vector<Span> find_answers(
      const Conversation& conversation,
      const Written& whole) const;
  Span find_answer(
      const Conversation& conversation,
      size_t message,
      const Written& whole) const;
  TokenizedChat encode_whole(
      const Written& written,
      const std::vector<Span>& answers,
      Vocabulary::Encoder& encoder) const;
  TokenizedChat encode_pieces(
      const Written& written,
      const std::vector<Span>& answers,
      Vocabulary::Encoder& encoder) const;
  /// Where the token is that ends an answer of these tokens.
  size_t end_of_answer(const std::vector<uint32_t>& tokens, Span answer) const;

  const Vocabulary& vocabulary_;
  ChatOptions options_;
  ChatSource source_;
  std::map<std::string, jinja::Template> templates_; // by name
  std::tm now_{};
};

} // namespace accrue
