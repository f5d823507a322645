// SPDX-License-Identifier: Apache-2.0
#include "text/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "accrue/core/error.h"
#include "accrue/core/random.h"
#include "text/unicode.h"

namespace accrue {
namespace {

/// Mark before text that spells a special token but is not one. A template
/// carries it along with the text. Unicode reserves the character: no text
/// contains it.
constexpr std::string_view kMark = "\xEF\xB7\x90"; // U+FDD0

/// Marks special tokens in all texts of a value.
void mark_special(io::OrderedJson& value, const AddedTokens& tokens) {
  if (value.is_structured()) {
    for (auto& item : value) {
      mark_special(item, tokens);
    }
  } else if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    if (text.find(kMark) != std::string::npos) {
      throw LineProblem("contains U+FDD0, which is not a character");
    }
    std::vector<size_t> found = tokens.find_special(text);
    for (auto it = found.rbegin(); it != found.rend(); ++it) {
      text.insert(*it, kMark);
    }
  }
}

/// Returns noon of a date such as "2026-11-26".
std::tm parse_date(const std::string& date) {
  std::tm time{};
  int* parts[] = {&time.tm_year, &time.tm_mon, &time.tm_mday};
  const char* at = date.data();
  const char* end = at + date.size();
  for (int i = 0; i < 3; ++i) {
    auto read = std::from_chars(at, end, *parts[i]);
    if (read.ec != std::errc() || (i < 2) != (read.ptr < end) ||
        (i < 2 && *read.ptr != '-')) {
      throw ConfigError(fmt::format(
          "[config] --chat-date must be like 2026-11-26, got \"{}\".", date));
    }
    at = read.ptr + 1;
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  time.tm_hour = 12;
  timegm(&time); // computes weekday and day of the year
  return time;
}

} // namespace

ChatFormat::ChatFormat(
    const Vocabulary& vocabulary,
    const std::filesystem::path& folder,
    const ChatOptions& options)
    : vocabulary_(vocabulary),
      options_(options),
      source_(find_chat_source(folder, vocabulary, options.which)),
      now_(
          options.date.empty() ? jinja::local_time()
                               : parse_date(options.date)) {
  for (const auto& [name, text] : source_.templates) {
    templates_.emplace(
        name,
        jinja::Template(
            text,
            name == "default" ? source_.file
                              : fmt::format("{} ({})", source_.file, name)));
  }
}

bool ChatFormat::uses_date() const {
  return std::any_of(
      source_.templates.begin(), source_.templates.end(), [](const auto& item) {
        return item.second.find("strftime_now") != std::string::npos;
      });
}

uint64_t ChatFormat::digest() const {
  uint64_t digest =
      mix(static_cast<uint64_t>(options_.train_on),
          options_.special_tokens_in_text ? 1 : 0);
  auto add = [&](const std::string& text) {
    for (char c : text) {
      digest = mix(digest, static_cast<unsigned char>(c));
    }
  };
  for (const auto& [name, text] : source_.templates) {
    add(name);
    add(text);
  }
  add(source_.tokens.dump());
  add(uses_date() ? options_.date : "");
  return mix(digest, source_.of_folder ? 1 : 0);
}

ChatFormat::Written ChatFormat::write(
    const Conversation& conversation,
    size_t messages,
    bool answer_next) const {
  io::OrderedJson names = source_.tokens;
  names["tools"] = nullptr;
  names["documents"] = nullptr;
  auto first = conversation.messages.begin();
  io::OrderedJson said{
      {"messages",
       io::OrderedJson(
           std::vector(first, first + static_cast<std::ptrdiff_t>(messages)))}};
  said.update(conversation.names);
  if (!options_.special_tokens_in_text && !vocabulary_.is_bytes()) {
    mark_special(said, vocabulary_.tokenizer()->added_tokens());
  }
  names.update(said);
  names["add_generation_prompt"] = answer_next;
  bool tool_use = !names["tools"].is_null() && templates_.contains("tool_use");
  jinja::Rendered rendered;
  try {
    rendered = templates_.at(tool_use ? "tool_use" : "default")
                   .render_marked(names, now_);
  } catch (const jinja::RefusedError& error) {
    throw LineProblem(fmt::format(
        "is refused by the chat template {}: {}",
        source_.file,
        error.reason()));
  } catch (const jinja::RenderError& error) {
    throw LineProblem(
        fmt::format("can't be written in the chat template: {}", error.what()));
  }
  return remove_marks(rendered);
}

ChatFormat::Written ChatFormat::remove_marks(const jinja::Rendered& rendered) {
  Written written;
  std::vector<size_t> marks;
  std::string_view text = rendered.text;
  for (size_t at = 0; at < text.size();) {
    size_t mark = std::min(text.find(kMark, at), text.size());
    written.text += text.substr(at, mark - at);
    if (mark < text.size()) {
      marks.push_back(mark);
      written.plain.push_back(written.text.size());
    }
    at = mark + kMark.size();
  }
  auto moved = [&](size_t offset) {
    auto before = std::lower_bound(marks.begin(), marks.end(), offset);
    return offset - kMark.size() * static_cast<size_t>(before - marks.begin());
  };
  for (const auto& [begin, end] : rendered.generated) {
    written.marked.push_back({moved(begin), moved(end)});
  }
  return written;
}

TokenizedChat ChatFormat::tokenize(
    const Conversation& conversation,
    Vocabulary::Encoder& encoder) const {
  Written whole = write(conversation, conversation.messages.size(), false);
  std::vector<Span> answers;
  if (options_.train_on == TrainOn::kAll) {
    if (std::ranges::count(conversation.left_out, uint8_t{1}) > 0) {
      throw LineProblem(
          "leaves out a message, which --train-on all can't honour");
    }
    answers = {{0, whole.text.size()}};
  } else {
    answers = find_answers(conversation, whole);
  }
  return source_.of_folder ? encode_whole(whole, answers, encoder)
                           : encode_pieces(whole, answers, encoder);
}

/// Encodes the whole text at once, as transformers does.
TokenizedChat ChatFormat::encode_whole(
    const Written& written,
    const std::vector<Span>& answers,
    Vocabulary::Encoder& encoder) const {
  std::vector<size_t> offsets;
  for (const Span& answer : answers) {
    offsets.insert(offsets.end(), {answer.begin, answer.end});
  }
  std::vector<Tokenizer::Seam> seams;
  TokenizedChat chat;
  chat.tokens = encoder(
      written.text,
      {.special_tokens = false, .plain = written.plain},
      offsets,
      seams);
  chat.loss_mask.resize(chat.tokens.size(), 0);
  for (size_t i = 0; i < answers.size(); ++i) {
    Span tokens{seams[2 * i].ended, seams[2 * i + 1].begun};
    if (answers[i].begin == answers[i].end) {
      continue;
    }
    if (written.marked.empty() && options_.train_on != TrainOn::kAll) {
      tokens.end = end_of_answer(chat.tokens, tokens);
    }
    for (size_t t = tokens.begin; t < tokens.end; ++t) {
      chat.loss_mask[t] = 1;
    }
  }
  return chat;
}

/// Excludes the text that a template writes after the special token at the end
/// of an answer, mostly a line break: no model generates it.
size_t ChatFormat::end_of_answer(
    const std::vector<uint32_t>& tokens,
    Span answer) const {
  for (size_t end = answer.end; end > answer.begin; --end) {
    if (vocabulary_.is_special(tokens[end - 1])) {
      auto rest = std::span(tokens).subspan(end, answer.end - end);
      return unicode::strip_left(vocabulary_.decode(rest)).empty() ? end
                                                                   : answer.end;
    }
  }
  return answer.end;
}

/// Encodes answers and the texts between them separately, so that a prompt has
/// the same ids in training as in generation.
TokenizedChat ChatFormat::encode_pieces(
    const Written& written,
    const std::vector<Span>& answers,
    Vocabulary::Encoder& encoder) const {
  TokenizedChat chat;
  vocabulary_.begin_document(chat.tokens);
  auto add = [&](Span piece, bool trained, bool closed) {
    std::vector<size_t> plain;
    for (size_t offset : written.plain) {
      if (offset >= piece.begin && offset < piece.end) {
        plain.push_back(offset - piece.begin);
      }
    }
    auto ids = encoder(
        std::string_view(written.text)
            .substr(piece.begin, piece.end - piece.begin),
        {.special_tokens = false,
         .continued = piece.begin > 0,
         .plain = plain});
    chat.loss_mask.resize(chat.tokens.size(), 0);
    chat.tokens.insert(chat.tokens.end(), ids.begin(), ids.end());
    if (closed) {
      chat.tokens.push_back(vocabulary_.end_of_text());
    }
    chat.loss_mask.resize(chat.tokens.size(), trained ? 1 : 0);
  };
  // Answers that are not trained on are encoded separately, too.
  size_t done = 0;
  for (const Span& mark : written.marked) {
    if (mark.begin > done) {
      add({done, mark.begin}, options_.train_on == TrainOn::kAll, false);
    }
    bool trained =
        options_.train_on == TrainOn::kAll ||
        std::any_of(answers.begin(), answers.end(), [&](const Span& answer) {
          return answer.begin == mark.begin && answer.end == mark.end;
        });
    add(mark, trained, source_.closed_by_id);
    done = mark.end;
  }
  if (done < written.text.size()) {
    add({done, written.text.size()}, options_.train_on == TrainOn::kAll, false);
  }
  chat.loss_mask.resize(chat.tokens.size(), 0);
  return chat;
}

std::vector<uint32_t> ChatFormat::tokenize_prompt(
    const Conversation& conversation,
    Vocabulary::Encoder& encoder) const {
  Written written = write(conversation, conversation.messages.size(), true);
  return (source_.of_folder ? encode_whole(written, {}, encoder)
                            : encode_pieces(written, {}, encoder))
      .tokens;
}

std::vector<uint32_t> ChatFormat::stop_tokens() const {
  std::vector<uint32_t> stops{vocabulary_.end_of_text()};
  Conversation example;
  example.messages = {
      {{"role", "user"}, {"content", "a"}},
      {{"role", "assistant"}, {"content", "b"}}};
  Vocabulary::Encoder encoder(vocabulary_);
  try {
    TokenizedChat chat = tokenize(example, encoder);
    for (size_t i = chat.tokens.size(); i-- > 0;) {
      if (chat.loss_mask[i] != 0 && vocabulary_.is_special(chat.tokens[i])) {
        if (chat.tokens[i] != stops[0]) {
          stops.push_back(chat.tokens[i]);
        }
        break;
      }
    }
  } catch (const LineProblem&) {
    // The template does not accept this conversation: only the end of text ends
    // answers.
  }
  return stops;
}

} // namespace accrue
