// SPDX-License-Identifier: Apache-2.0
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

/// Token ids and their loss mask.
struct TokenizedChat {
  std::vector<uint32_t> tokens;
  std::vector<uint8_t> loss_mask; // per token: 1 if it is trained on, else 0
};

/// Writes conversations in a chat template and finds the tokens to train on.
/// Thread-safe.
class ChatFormat {
 public:
  /// Reads the template of the model in `folder`, or takes one of accrue's own.
  /// `vocabulary` must outlive this object. Throws DataError or ConfigError if
  /// the template can't be read, or if one of accrue's own needs tokens that
  /// `vocabulary` lacks.
  ChatFormat(
      const Vocabulary& vocabulary,
      const std::filesystem::path& folder,
      const ChatOptions& options);

  /// Describes the template for people: "chatml, as asked for".
  const std::string& description() const {
    return source_.description;
  }
  /// Returns whether a template uses the date.
  bool uses_date() const;
  /// Hash of everything that the ids and the loss mask depend on.
  uint64_t digest() const;

  /// Returns the ids that transformers' apply_chat_template gives, with a loss
  /// mask. An answer is the text that the template marks with {% generation %}.
  /// In a template without marks, it begins where the text of the prompt before
  /// it ends. Throws LineProblem.
  TokenizedChat tokenize(
      const Conversation& conversation,
      Vocabulary::Encoder& encoder) const;

  /// Returns the ids of a conversation that the model is to answer. Throws
  /// LineProblem.
  std::vector<uint32_t> tokenize_prompt(
      const Conversation& conversation,
      Vocabulary::Encoder& encoder) const;

  /// Returns the ids that end an answer: the end of text, and the special token
  /// that the template writes last.
  std::vector<uint32_t> stop_tokens() const;

 private:
  struct Span { // range of bytes or of tokens
    size_t begin = 0;
    size_t end = 0;
  };
  /// A conversation as text.
  struct Written {
    std::string text;
    std::vector<size_t> plain; // offsets of special tokens that are only text
    std::vector<Span> marked; // parts within {% generation %}
  };

  /// Renders the first `messages` messages. `answer_next`: the text ends where
  /// an answer of the model begins.
  Written write(
      const Conversation& conversation,
      size_t messages,
      bool answer_next) const;
  /// Removes the marks of plain text and shifts the offsets accordingly.
  static Written remove_marks(const jinja::Rendered& rendered);
  std::vector<size_t> wanted_answers(const Conversation& conversation) const;
  /// Returns the parts of `whole` that are trained on.
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
  /// Returns one past the token that ends `answer`, a range of `tokens`.
  size_t end_of_answer(const std::vector<uint32_t>& tokens, Span answer) const;

  const Vocabulary& vocabulary_;
  ChatOptions options_;
  ChatSource source_;
  std::map<std::string, jinja::Template> templates_; // by name
  std::tm now_{};
};

} // namespace accrue
