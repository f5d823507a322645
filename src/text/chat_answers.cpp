// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "text/chat.h"

// Finds the parts of a conversation's text that are trained on.

namespace accrue {

/// Returns the indices of the messages that are trained on.
std::vector<size_t> ChatFormat::wanted_answers(
    const Conversation& conversation) const {
  const bool all = options_.train_on == TrainOn::kAssistant;
  std::vector<size_t> wanted;
  for (size_t i = all ? 0 : conversation.prompt_messages;
       i < conversation.messages.size();
       ++i) {
    if (conversation.messages[i].at("role") == "assistant") {
      wanted.push_back(i);
    }
  }
  if (wanted.empty()) {
    throw LineProblem(
        "holds no message of the assistant, so there is nothing to train on");
  }
  if (options_.train_on == TrainOn::kLast) {
    wanted = {wanted.back()};
  }
  std::erase_if(wanted, [&](size_t i) {
    return !conversation.left_out.empty() && conversation.left_out[i] != 0;
  });
  return wanted;
}

std::vector<ChatFormat::Span> ChatFormat::find_answers(
    const Conversation& conversation,
    const Written& whole) const {
  std::vector<size_t> wanted = wanted_answers(conversation);
  std::vector<Span> answers;
  if (whole.marked.empty()) {
    for (size_t message : wanted) {
      answers.push_back(find_answer(conversation, message, whole));
    }
    return answers;
  }
  auto all = std::count_if(
      conversation.messages.begin(),
      conversation.messages.end(),
      [](const io::OrderedJson& m) { return m.at("role") == "assistant"; });
  if (wanted.size() == static_cast<size_t>(all)) {
    return whole.marked;
  }
  if (whole.marked.size() != static_cast<size_t>(all)) {
    throw LineProblem(fmt::format(
        "has {} answers, not all of which are trained on, but the chat "
        "template marks {} parts as generated; pass --train-on assistant",
        all,
        whole.marked.size()));
  }
  size_t answer = 0;
  for (size_t i = 0; i < conversation.messages.size(); ++i) {
    if (conversation.messages[i].at("role") == "assistant") {
      if (std::binary_search(wanted.begin(), wanted.end(), i)) {
        answers.push_back(whole.marked[answer]);
      }
      ++answer;
    }
  }
  return answers;
}

/// Returns the part that the template writes for the answer: from where the
/// prompt for it ends to where the next message begins.
ChatFormat::Span ChatFormat::find_answer(
    const Conversation& conversation,
    size_t message,
    const Written& whole) const {
  std::string before = write(conversation, message, true).text;
  if (!whole.text.starts_with(before)) {
    // Some templates begin an answer with thoughts, which the data does not
    // have. The beginning of the answer then belongs to the answer.
    before = write(conversation, message, false).text;
  }
  if (!whole.text.starts_with(before)) {
    throw LineProblem(fmt::format(
        "has an answer (message {}) whose beginning is unknown, because the "
        "chat template writes a different text when the prompt ends there; "
        "pass --train-on all, or another --chat-template",
        message + 1));
  }
  if (message + 1 == conversation.messages.size()) {
    return {before.size(), whole.text.size()};
  }
  std::string through = write(conversation, message + 1, false).text;
  if (!whole.text.starts_with(through) || through.size() < before.size()) {
    throw LineProblem(fmt::format(
        "has an answer (message {}) that the chat template writes differently "
        "when more messages follow; pass --train-on last",
        message + 1));
  }
  return {before.size(), through.size()};
}

} // namespace accrue
