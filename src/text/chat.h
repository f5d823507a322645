#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/vocabulary.h"

namespace accrue {

/// How a conversation is written down for a model.
enum class ChatTemplate {
  /// By the special tokens of the tokenizer: <|start_header_id|> llama3,
  /// <|im_start|> chatml, [INST] mistral, else plain.
  kAuto,
  /// <|im_start|>role\ncontent<|im_end|>\n
  kChatml,
  /// <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>
  kLlama3,
  /// [INST] content [/INST] answer</s>; a system message goes before the first
  /// content.
  kMistral,
  /// Contents end to end, each answer closed by the end of text.
  kPlain,
};

struct Message {
  std::string role; // system, user or assistant
  std::string content;
};

/// A piece of a conversation as text, and whether it is trained on.
struct ChatPart {
  std::string text;
  bool trained = false;
};

/// Ids, and which of them are trained on.
struct TokenizedChat {
  std::vector<uint32_t> tokens;
  std::vector<uint8_t> trained; // of each token, 0 or 1
};

/// Writes conversations in one of the templates. Only what the assistant says,
/// and what ends it, is trained on. Parts are tokenized one by one, so that a
/// prompt has the same ids in training and in generation.
class ChatFormat {
 public:
  /// Throws ConfigError if the template needs tokens that `vocabulary` does not
  /// have.
  ChatFormat(const Vocabulary& vocabulary, ChatTemplate which);

  /// The template in use, never kAuto.
  ChatTemplate which() const {
    return which_;
  }

  /// `answer_next`: closes with what an answer begins with, for generation.
  std::vector<ChatPart> render(
      const std::vector<Message>& messages,
      bool answer_next = false) const;

  /// With what the tokenizer puts before a text (BOS).
  TokenizedChat tokenize(
      const std::vector<ChatPart>& parts,
      Vocabulary::Encoder& encoder) const;

  /// Ids that end an answer.
  std::vector<uint32_t> stop_tokens() const;

 private:
  const Vocabulary& vocabulary_;
  ChatTemplate which_;
};

} // namespace accrue
