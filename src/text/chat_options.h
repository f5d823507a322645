// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace accrue {

/// Format in which a conversation is written for a model.
enum class ChatTemplate {
  /// The template in the model's folder. Without one, the special tokens of the
  /// tokenizer decide: <|start_header_id|> means llama3, <|im_start|> chatml,
  /// [INST] mistral, none of these plain.
  kAuto,
  /// <|im_start|>role\ncontent<|im_end|>\n
  kChatml,
  /// <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>
  kLlama3,
  /// [INST] content [/INST] answer</s>; a system message goes before the first
  /// content.
  kMistral,
  /// Contents one after another, each answer ended by the end of text.
  kPlain,
};

/// Part of a conversation that is trained on.
enum class TrainOn {
  /// Every answer; where a record has a prompt, only those after it.
  kCompletion,
  /// Every answer, also those in the prompt.
  kAssistant,
  /// Only the last answer.
  kLast,
  /// Everything, also the text that the template adds.
  kAll,
};

struct ChatOptions {
  /// Template to write conversations in.
  ChatTemplate which = ChatTemplate::kAuto;
  /// Part of a conversation that is trained on.
  TrainOn train_on = TrainOn::kCompletion;
  /// Whether text in a message that spells a special token becomes that token.
  /// Otherwise it stays plain text.
  bool special_tokens_in_text = false;
  /// Date for templates that write one, e.g. "2026-11-26"; empty = today.
  std::string date;
};

} // namespace accrue
