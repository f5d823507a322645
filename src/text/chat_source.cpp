// SPDX-License-Identifier: Apache-2.0
#include "text/chat_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <optional>
#include <vector>

#include "accrue/core/error.h"
#include "io/files.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

/// One of accrue's own templates.
struct Own {
  const char* name;
  std::vector<const char*> needed; // tokens that it needs
  bool closed_by_id;
  const char* source;
};

// Macro for the content of a message as text. Refuses what the templates below
// have no form for.
constexpr const char* kContent = R"({%- macro content(message) -%}
  {%- if message.role not in ['system', 'user', 'assistant'] -%}
    {{- raise_exception('it has no form for the role "' ~ message.role ~ '"') -}}
  {%- elif message.tool_calls -%}
    {{- raise_exception('it has no form for tool calls') -}}
  {%- elif message.content is string -%}
    {{- message.content -}}
  {%- elif message.content is defined and message.content is sequence and message.content is not mapping -%}
    {%- for part in message.content -%}
      {{- part.text if part is mapping and part.text is string else raise_exception('it has no form for parts of a content that are not text') -}}
    {%- endfor -%}
  {%- else -%}
    {{- raise_exception('it has no form for a message without content') -}}
  {%- endif -%}
{%- endmacro -%}
{%- if tools -%}
  {{- raise_exception('it has no form for tools') -}}
{%- endif -%}
)";

constexpr const char* kChatml = R"({%- for message in messages -%}
  {{- '<|im_start|>' + message.role + '\n' -}}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}{{- content(message) + '<|im_end|>' -}}{%- endgeneration -%}
    {{- '\n' -}}
  {%- else -%}
    {{- content(message) + '<|im_end|>\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
)";

constexpr const char* kLlama3 = R"({%- for message in messages -%}
  {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' -}}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}{{- content(message) | trim + '<|eot_id|>' -}}{%- endgeneration -%}
  {%- else -%}
    {{- content(message) | trim + '<|eot_id|>' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- endif -%}
)";

constexpr const char* kMistral = R"({%- set first = namespace(text='') -%}
{%- for message in messages -%}
  {%- if message.role == 'system' -%}
    {%- set first.text = content(message) + '\n\n' -%}
  {%- elif message.role == 'assistant' -%}
    {%- generation -%}{{- ' ' + content(message) -}}{%- endgeneration -%}
  {%- else -%}
    {{- '[INST] ' + first.text + content(message) + ' [/INST]' -}}
    {%- set first.text = '' -%}
  {%- endif -%}
{%- endfor -%}
)";

constexpr const char* kPlain = R"({%- for message in messages -%}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}{{- content(message) -}}{%- endgeneration -%}
  {%- else -%}
    {{- content(message) -}}
  {%- endif -%}
{%- endfor -%}
)";

const Own& own_template(ChatTemplate which) {
  static const std::array<Own, 5> kOwn{{
      {"auto", {}, false, nullptr},
      {"chatml", {"<|im_start|>", "<|im_end|>"}, false, kChatml},
      {"llama3",
       {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
       false,
       kLlama3},
      {"mistral", {}, true, kMistral},
      {"plain", {}, true, kPlain},
  }};
  return kOwn[static_cast<size_t>(which)];
}

bool has(const Vocabulary& vocabulary, const char* token) {
  return !vocabulary.is_bytes() && vocabulary.tokenizer()->id_of(token);
}

bool has_all(const Vocabulary& vocabulary, ChatTemplate which) {
  for (const char* token : own_template(which).needed) {
    if (!has(vocabulary, token)) {
      return false;
    }
  }
  return true;
}

ChatTemplate by_tokens(const Vocabulary& vocabulary) {
  for (ChatTemplate which : {ChatTemplate::kLlama3, ChatTemplate::kChatml}) {
    if (has_all(vocabulary, which)) {
      return which;
    }
  }
  return has(vocabulary, "[INST]") ? ChatTemplate::kMistral
                                   : ChatTemplate::kPlain;
}

/// Reads "chat_template" of tokenizer_config.json: a text, or a list of
/// {"name", "template"}.
std::map<std::string, std::string> read_templates(const io::Node& node) {
  if (node.json().is_string()) {
    return {{"default", node.text()}};
  }
  std::map<std::string, std::string> templates;
  for (const io::Node& item : node.elements()) {
    templates[item.at("name").text()] = item.at("template").text();
  }
  return templates;
}

/// Reads the special tokens that templates may name: "bos_token", ….
io::OrderedJson read_token_names(const io::Node& config) {
  io::OrderedJson tokens = io::OrderedJson::object();
  for (const char* name :
       {"bos_token",
        "eos_token",
        "unk_token",
        "sep_token",
        "pad_token",
        "cls_token",
        "mask_token"}) {
    if (auto node = config.find(name)) {
      tokens[name] =
          node->json().is_object() ? node->at("content").text() : node->text();
    }
  }
  return tokens;
}

ChatSource read_folder(const fs::path& folder) {
  ChatSource source;
  if (fs::path path = folder / "tokenizer_config.json"; fs::exists(path)) {
    io::Json json = io::read_json(path);
    io::Node config(json, path.string());
    source.tokens = read_token_names(config);
    if (auto node = config.find("chat_template")) {
      source.templates = read_templates(*node);
      source.file = path.string();
    }
  }
  if (fs::path path = folder / "chat_template.jinja"; fs::exists(path)) {
    source.templates = {{"default", io::read_file(path)}};
    source.file = path.string();
    fs::path more = folder / "additional_chat_templates";
    if (fs::is_directory(more)) {
      for (const auto& entry : fs::directory_iterator(more)) {
        if (entry.path().extension() == ".jinja") {
          source.templates[entry.path().stem()] = io::read_file(entry.path());
        }
      }
    }
  }
  if (!source.templates.empty() && !source.templates.contains("default")) {
    throw DataError(fmt::format(
        "[chat template] {} holds several templates and none is named "
        "\"default\". Name one so, or pass --chat-template.",
        source.file));
  }
  source.of_folder = !source.templates.empty();
  return source;
}

} // namespace

ChatSource find_chat_source(
    const fs::path& folder,
    const Vocabulary& vocabulary,
    ChatTemplate which) {
  ChatSource source = read_folder(folder);
  std::string reason = "as asked for";
  if (which == ChatTemplate::kAuto) {
    if (source.of_folder) {
      source.description = "the model's own, in " + source.file;
      return source;
    }
    which = by_tokens(vocabulary);
    reason = which == ChatTemplate::kPlain
        ? "as the model's folder has no chat template and its tokenizer has "
          "no tokens of one"
        : "chosen by the tokenizer's tokens, as the model's folder has no chat "
          "template";
  }
  const Own& own = own_template(which);
  if (!has_all(vocabulary, which)) {
    throw ConfigError(fmt::format(
        "[chat template] {} needs the tokens {}, but the tokenizer does not "
        "have all of them. Pass --chat-template plain, or auto.",
        own.name,
        fmt::join(own.needed, ", ")));
  }
  source.of_folder = false;
  source.closed_by_id = own.closed_by_id;
  source.templates = {{"default", std::string(kContent) + own.source}};
  source.file = own.name;
  source.description = fmt::format("{}, {}", own.name, reason);
  return source;
}

} // namespace accrue
