// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "io/json.h"
#include "text/chat_options.h"
#include "text/vocabulary.h"

namespace accrue {

/// Chat templates and the tokens that they may name.
struct ChatSource {
  /// Texts of the templates by name. "default" is used unless a conversation
  /// needs another one.
  std::map<std::string, std::string> templates;
  std::string file; // file with the templates, or "chatml", …
  /// Description of the choice for people, with the reason.
  std::string description;
  /// Special tokens that templates may name: "bos_token": "<s>", …
  io::OrderedJson tokens = io::OrderedJson::object();
  /// Whether the templates are from the model's folder. Otherwise the template
  /// is one of accrue's own, and answers are tokenized apart from the text
  /// around them.
  bool of_folder = false;
  /// Whether the id of the end of text is added to each answer. Only with one
  /// of accrue's own templates.
  bool closed_by_id = false;
};

/// Chooses the templates. Those in the folder are found as transformers finds
/// them: chat_template.jinja and additional_chat_templates/, otherwise
/// "chat_template" in tokenizer_config.json. Throws DataError if the latter is
/// neither a text nor a list of texts, ConfigError if `vocabulary` lacks a
/// token that `which` needs.
ChatSource find_chat_source(
    const std::filesystem::path& folder,
    const Vocabulary& vocabulary,
    ChatTemplate which);

} // namespace accrue
