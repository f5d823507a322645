// SPDX-License-Identifier: Apache-2.0
#include "text/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace accrue {
namespace {

using Json = io::OrderedJson;

struct RoleName {
  std::string_view from;
  std::string_view role;
};

constexpr std::array kRoleNames{
    RoleName{"human", "user"},
    RoleName{"user", "user"},
    RoleName{"gpt", "assistant"},
    RoleName{"assistant", "assistant"},
    RoleName{"chatgpt", "assistant"},
    RoleName{"bing", "assistant"},
    RoleName{"bard", "assistant"},
    RoleName{"function_call", "assistant"},
    RoleName{"system", "system"},
    RoleName{"tool", "tool"},
    RoleName{"function", "tool"},
    RoleName{"observation", "tool"},
};

[[noreturn]] void fail_record(const std::string& what) {
  throw LineProblem(what);
}

/// Removes a field from the record and returns it; null if it is not there.
Json take_field(Json& record, const char* key) {
  auto it = record.find(key);
  if (it == record.end()) {
    return nullptr;
  }
  Json value = std::move(*it);
  record.erase(it);
  return value;
}

std::string take_text(Json& record, const char* key) {
  Json value = take_field(record, key);
  if (!value.is_string()) {
    fail_record(fmt::format(
        "\"{}\" must be a string, got {}", key, io::type_name(value)));
  }
  return std::move(value.get_ref<std::string&>());
}

/// Removes a text from the record and returns it; empty if it is absent or
/// null.
std::string take_optional_text(Json& record, const char* key) {
  if (record.contains(key) && !record.at(key).is_null()) {
    return take_text(record, key);
  }
  record.erase(key);
  return "";
}

Json message(std::string_view role, Json content) {
  return {{"role", role}, {"content", std::move(content)}};
}

/// Converts a turn of ShareGPT to a message. A message stays as it is.
Json to_message(Json turn) {
  if (!turn.is_object() || !turn.contains("from")) {
    return turn;
  }
  std::string from = take_text(turn, "from");
  for (const RoleName& name : kRoleNames) {
    if (name.from == from) {
      turn["role"] = name.role;
      turn["content"] = take_text(turn, "value");
      return turn;
    }
  }
  fail_record(fmt::format(
      "a turn's \"from\" must be human, gpt, system or tool, or one of their "
      "other names, got \"{}\"",
      from));
}

void convert_conversations(Json& record) {
  Json turns = take_field(record, "conversations");
  if (!turns.is_array()) {
    fail_record(fmt::format(
        "\"conversations\" must be an array, got {}", io::type_name(turns)));
  }
  Json messages = Json::array();
  if (auto system = take_optional_text(record, "system"); !system.empty()) {
    messages.push_back(message("system", std::move(system)));
  }
  for (Json& turn : turns) {
    messages.push_back(to_message(std::move(turn)));
  }
  bool pair = false;
  for (const char* key : {"chosen", "rejected"}) {
    if (auto answer = record.find(key); answer != record.end()) {
      pair = true;
      if (answer->is_object()) {
        *answer = Json::array({to_message(std::move(*answer))});
      }
    }
  }
  record[pair ? "prompt" : "messages"] = std::move(messages);
}

void convert_instruction(Json& record) {
  if (Json history = take_field(record, "history"); !history.empty()) {
    fail_record("\"history\" is not read; write the turns as \"messages\"");
  }
  std::string prompt = take_text(record, "instruction");
  if (auto input = take_optional_text(record, "input"); !input.empty()) {
    prompt += "\n\n" + input;
  }
  std::string system = take_optional_text(record, "system");
  if (system.empty()) {
    record["prompt"] = std::move(prompt);
  } else {
    record["prompt"] = Json::array(
        {message("system", std::move(system)),
         message("user", std::move(prompt))});
  }
  if (record.contains("output")) {
    record["completion"] = take_text(record, "output");
  }
}

/// Returns true if "text" contains the instruction and the output, as in the
/// original file of Alpaca: it adds nothing to them.
bool has_rendered_text(const Json& record) {
  auto text = record.find("text");
  if (text == record.end() || !text->is_string()) {
    return false;
  }
  return std::ranges::all_of(
      std::array{"instruction", "output"}, [&](const char* key) {
        auto part = record.find(key);
        return part != record.end() && part->is_string() &&
            text->get_ref<const std::string&>().find(
                part->get_ref<const std::string&>()) != std::string::npos;
      });
}

} // namespace

Json normalize_record(Json record) {
  if (!record.is_object()) {
    return record;
  }
  const bool turns = record.contains("conversations");
  const bool instruction = record.contains("instruction") &&
      (record.contains("output") || record.contains("chosen"));
  if (!turns && !instruction) {
    return record;
  }
  if (instruction && has_rendered_text(record)) {
    record.erase("text");
  }
  const char* shape = turns ? "conversations" : "instruction";
  for (const char* other :
       {"messages", "prompt", "completion", "text", "instruction"}) {
    if (record.contains(other) && other != std::string_view(shape)) {
      fail_record(fmt::format(
          "has both \"{}\" and \"{}\", either of which could be meant; remove "
          "one",
          shape,
          other));
    }
  }
  if (turns) {
    convert_conversations(record);
  } else {
    convert_instruction(record);
  }
  return record;
}

} // namespace accrue
