#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "io/json.h"
#include "text/chat_options.h"
#include "text/vocabulary.h"

namespace accrue {

/// The text of chat templates, and what it may name.
struct ChatSource {
  /// By name, "default" being the one that is used without reason for another.
  std::map<std::string, std::string> templates;
  std::string file; // that they stand in, or "chatml", …
  /// For people, with the reason.
  std::string description;
  /// "bos_token": "<s>", …
  io::OrderedJson tokens = io::OrderedJson::object();
  /// The model folder's. Else accrue's own, whose answers are tokenized apart.
  bool of_folder = false;
  /// Of accrue's own: the end of text, as an id, closes answers.
  bool closed_by_id = false;
};

/// Chooses. Of a folder as transformers does: chat_template.jinja and
/// additional_chat_templates/, else tokenizer_config.json's "chat_template".
/// Throws DataError if that is no text or list of texts, ConfigError if
/// `vocabulary` lacks a token that `which` needs.
ChatSource find_chat_source(
    const std::filesystem::path& folder,
    const Vocabulary& vocabulary,
    ChatTemplate which);

} // namespace accrue
