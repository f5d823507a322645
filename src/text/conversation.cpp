// SPDX-License-Identifier: Apache-2.0
#include "text/conversation.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>

namespace accrue {
namespace {

using io::OrderedJson;

/// A key that says whether an answer is trained on.
struct Switch {
  const char* key;
  bool on; // whether true and 1 mean to train on it
};
constexpr Switch kSwitches[] = {
    {"weight", true},
    {"train", true},
    {"loss", true},
    {"trainable", true},
    {"loss_mask", true},
    {"masked", false},
};

/// Reads true, false, 1 or 0; nullopt for anything else.
std::optional<bool> read_flag(const OrderedJson& value) {
  if (value.is_boolean()) {
    return value.get<bool>();
  }
  if (value.is_number()) {
    const double number = value.get<double>();
    if (number == 0 || number == 1) {
      return number == 1;
    }
  }
  return std::nullopt;
}

bool is_left_out(const OrderedJson& message) {
  const Switch* first = nullptr;
  bool left_out = false;
  for (const Switch& one : kSwitches) {
    auto it = message.find(one.key);
    if (it == message.end() || it->is_null()) {
      continue;
    }
    auto flag = read_flag(*it);
    if (!flag) {
      throw LineProblem(fmt::format(
          "a message's \"{}\" must be 0, 1, false or true, got {}",
          one.key,
          it->dump(-1, ' ', false, OrderedJson::error_handler_t::replace)));
    }
    bool out = *flag != one.on;
    if (first != nullptr && out != left_out) {
      throw LineProblem(fmt::format(
          "a message's \"{}\" and \"{}\" contradict each other",
          first->key,
          one.key));
    }
    first = &one;
    left_out = out;
  }
  return left_out;
}

/// Returns true if a key asks to train on the message. A "masked" that is false
/// does not ask for it.
bool is_asked_for(const OrderedJson& message) {
  for (const Switch& one : kSwitches) {
    auto it = message.find(one.key);
    if (one.on && it != message.end() && read_flag(*it) == true) {
      return true;
    }
  }
  return false;
}

/// Returns a message as transformers passes it to templates: without keys that
/// are null, and with its thoughts under every name that templates use for
/// them.
OrderedJson for_templates(OrderedJson message) {
  for (auto it = message.begin(); it != message.end();) {
    it = it->is_null() ? message.erase(it) : std::next(it);
  }
  for (const char* key : {"reasoning_content", "thinking", "reasoning"}) {
    auto it = message.find(key);
    if (it != message.end()) {
      OrderedJson all{{"thinking", *it}};
      all.update(message);
      all["reasoning_content"] = *it;
      return all;
    }
  }
  return message;
}

} // namespace

void Conversation::append(const OrderedJson& list, const char* key) {
  if (!list.is_array()) {
    throw LineProblem(fmt::format(
        "\"{}\" must be an array, got {}", key, io::type_name(list)));
  }
  for (const OrderedJson& message : list) {
    if (!message.is_object()) {
      throw LineProblem(fmt::format(
          "a message in \"{}\" must be an object, got {}",
          key,
          io::type_name(message)));
    }
    auto role = message.find("role");
    if (role == message.end() || !role->is_string()) {
      throw LineProblem(
          fmt::format("a message in \"{}\" has no \"role\"", key));
    }
    if (*role != "assistant" && is_asked_for(message)) {
      throw LineProblem(fmt::format(
          "asks to train on a message of the {}; only the assistant's are "
          "trained on",
          role->get_ref<const std::string&>()));
    }
    messages.push_back(for_templates(message));
    left_out.push_back(is_left_out(message) ? 1 : 0);
  }
}

} // namespace accrue
