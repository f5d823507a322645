// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "accrue/core/error.h"
#include "support.h"
#include "text/jinja/template.h"
#include "text/unicode_case.h"

namespace accrue::jinja {
namespace {

namespace fs = std::filesystem;
using io::OrderedJson;
using testing::expect_contains;
using testing::message_of;

/// Time that generate_jinja.py calls now: Friday, 2025-03-07 14:05:09.
std::tm fixed_time() {
  std::tm time{};
  time.tm_year = 2025 - 1900;
  time.tm_mon = 2;
  time.tm_mday = 7;
  time.tm_hour = 14;
  time.tm_min = 5;
  time.tm_sec = 9;
  time.tm_wday = 5;
  time.tm_yday = 65;
  return time;
}

const OrderedJson& oracle() {
  static const OrderedJson json = [] {
    std::ifstream file(fs::path(ACCRUE_ORACLE_DIR) / "jinja.json");
    return OrderedJson::parse(file);
  }();
  return json;
}

/// Result in the words of the oracle: {"out", "spans"}, {"refused"}, {"error"}.
OrderedJson render(const std::string& source, const OrderedJson& context) {
  try {
    Rendered rendered =
        Template(source, "test").render_marked(context, fixed_time());
    OrderedJson result{{"out", rendered.text}};
    if (!rendered.generated.empty()) {
      result["spans"] = rendered.generated;
    }
    return result;
  } catch (const RefusedError& error) {
    return {{"refused", error.reason()}};
  } catch (const Error& error) {
    return {{"error", error.what()}};
  }
}

bool agree(const OrderedJson& want, const OrderedJson& got) {
  if (want.contains("error")) {
    return got.contains("error") &&
        got.at("error").get<std::string>().find(want.value("message", "")) !=
        std::string::npos;
  }
  if (!want.contains("crc32")) {
    return want.value("out", "") == got.value("out", "") &&
        want.contains("out") == got.contains("out") &&
        want.value("refused", "") == got.value("refused", "") &&
        want.value("spans", OrderedJson()) == got.value("spans", OrderedJson());
  }
  const std::string text = got.value("out", "");
  return text.size() == want.at("bytes").get<size_t>() &&
      crc32(
          0,
          reinterpret_cast<const Bytef*>(text.data()),
          static_cast<uInt>(text.size())) == want.at("crc32").get<uLong>() &&
      want.value("spans", OrderedJson()) == got.value("spans", OrderedJson());
}

void expect_agree(
    const OrderedJson& want,
    const OrderedJson& got,
    const std::string& what) {
  EXPECT_TRUE(agree(want, got))
      << what << "\nwant " << want.dump() << "\ngot  " << got.dump();
}

TEST(JinjaTest, EveryConstructDoesWhatTransformersSandboxDoes) {
  const OrderedJson& cases = oracle().at("cases");
  EXPECT_GT(cases.size(), 1000);
  for (const OrderedJson& want : cases) {
    auto source = want.at("template").get<std::string>();
    // Only templates and results: their keys are in want, too.
    OrderedJson result = want;
    result.erase("template");
    expect_agree(result, render(source, oracle().at("context")), source);
  }
}

TEST(JinjaTest, ControlADifferentResultIsSeen) {
  EXPECT_FALSE(agree({{"out", "a"}}, {{"out", "b"}}));
  EXPECT_FALSE(agree({{"out", ""}}, {{"error", "x"}}));
  EXPECT_FALSE(agree({{"refused", "a"}}, {{"error", "a"}}));
  EXPECT_FALSE(
      agree({{"error", "E"}, {"message", "'x' is"}}, {{"error", "'y' is"}}));
  EXPECT_FALSE(agree({{"bytes", 1}, {"crc32", 1}}, {{"out", "a"}}));
}

std::string read_text(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void expect_conversations(const OrderedJson& chat, const std::string& source) {
  const OrderedJson& conversations = oracle().at("conversations");
  const OrderedJson& results = chat.at("results");
  ASSERT_EQ(results.size(), conversations.size());
  for (size_t i = 0; i < results.size(); ++i) {
    expect_agree(
        results[i],
        render(source, conversations[i]),
        fmt::format(
            "{}, conversation {}", chat.at("template").get<std::string>(), i));
  }
}

TEST(JinjaTest, ChatTemplatesWriteWhatTransformersWrites) {
  const fs::path folder = fs::path(ACCRUE_ORACLE_DIR) / "chat_templates";
  int count = 0;
  for (const OrderedJson& chat : oracle().at("chats")) {
    if (!chat.contains("shared")) {
      auto name = chat.at("template").get<std::string>();
      expect_conversations(chat, read_text(folder / name));
      ++count;
    }
  }
  EXPECT_GE(count, 20);
}

TEST(JinjaTest, RealChatTemplatesWriteWhatTransformersWrites) {
  fs::path shared = fs::path(ACCRUE_ORACLE_DIR) / "../../../shared/tokenizers";
  if (!fs::is_directory(shared)) {
    GTEST_SKIP() << "no real tokenizers in " << shared;
  }
  for (const OrderedJson& chat : oracle().at("chats")) {
    if (chat.contains("shared")) {
      fs::path folder = shared / chat.at("shared").get<std::string>();
      auto config =
          OrderedJson::parse(std::ifstream(folder / "tokenizer_config.json"));
      expect_conversations(chat, config.at("chat_template"));
    }
  }
}

std::string render_error(const std::string& source) {
  return message_of<RenderError>(
      [&] { Template(source, "chat.jinja").render(OrderedJson::object()); });
}

std::string syntax_error(const std::string& source) {
  return message_of<ConfigError>([&] { Template(source, "chat.jinja"); });
}

TEST(JinjaTest, MessagesNameTemplateLineAndProblem) {
  EXPECT_EQ(
      render_error("a\n{% if true %}\n{{ x.y }}\n{% endif %}"),
      "[chat template] chat.jinja:3: 'x' is undefined. Mend the template or "
      "what it is given.");
  EXPECT_EQ(
      syntax_error("a\n\n{% fro x in y %}"),
      "[chat template] chat.jinja:3: unknown tag 'fro'. Mend the template, or "
      "pass another.");
  expect_contains(
      syntax_error("{% for x in y %}\n{% if x %}\n{% endfor %}"),
      "chat.jinja:3: unknown tag 'endfor' within 'if'");
  expect_contains(
      syntax_error("{% for x in y %}\n"), "before 'endfor' or 'else' closes");
}

TEST(JinjaTest, ARefusalCarriesItsReasonAlone) {
  Template refusing("{{ raise_exception('roles ' ~ 'alternate') }}", "t");
  try {
    refusing.render(OrderedJson::object());
    FAIL() << "nothing was thrown";
  } catch (const RefusedError& error) {
    EXPECT_EQ(error.reason(), "roles alternate");
    expect_contains(error.what(), "[chat template] t:1: ");
  }
}

TEST(JinjaTest, WhatIsLeftOutIsAnErrorByName) {
  for (const char* tag :
       {"include 'x'",
        "import 'x' as y",
        "from 'x' import y",
        "extends 'x'",
        "block x",
        "autoescape true"}) {
    std::string name(tag, std::string_view(tag).find(' '));
    expect_contains(
        syntax_error(fmt::format("{{% {} %}}", tag)),
        fmt::format("the tag '{}' is not supported", name));
  }
  expect_contains(syntax_error("{{ x | pprint }}"), "no filter 'pprint'");
  expect_contains(render_error("{{ self.x }}"), "'self' is not supported");
  expect_contains(render_error("{{ 'a'.encode() }}"), "encode");
}

TEST(JinjaTest, HostileTemplatesEndInAnError) {
  auto repeat = [](const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) {
      all += text;
    }
    return all;
  };
  const std::string nested = "nested beyond";
  expect_contains(syntax_error("{{ " + repeat("(", 100'000)), nested);
  expect_contains(syntax_error("{{ " + repeat("[", 100'000)), nested);
  expect_contains(syntax_error("{{ " + repeat("not ", 100'000)), nested);
  expect_contains(syntax_error("{{ " + repeat("-", 100'000)), nested);
  expect_contains(syntax_error("{{ x" + repeat(".x", 100'000)), nested);
  expect_contains(syntax_error("{{ x" + repeat("|e", 100'000)), nested);
  expect_contains(syntax_error("{{ 1" + repeat("+1", 100'000)), nested);
  expect_contains(syntax_error(repeat("{% if x %}", 100'000)), nested);
  expect_contains(
      render_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
      "recursion beyond");
  expect_contains(
      render_error("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
      "recursion beyond");
  expect_contains(render_error("{{ range(100001) }}"), "range too big");
  const std::string ten_billion =
      "{% for i in range(100000) %}{% for j in range(100000) %}";
  expect_contains(
      render_error(ten_billion + "{% endfor %}{% endfor %}"), "steps");
  expect_contains(
      render_error(
          "{% for i in range(100000) %}{{ range(100000) | reject | list }}"
          "{% endfor %}"),
      "steps");
  expect_contains(render_error("{{ 'x' * 2 ** 40 }}"), "MiB");
  expect_contains(render_error("{{ '%1000000000d' % 1 }}"), "MiB");
  expect_contains(render_error("{{ 'x' | center(2 ** 40) }}"), "MiB");
  expect_contains(render_error("{{ [1] * 2 ** 40 }}"), "values");
  expect_contains(
      render_error("{% set a = 'x' * 2 ** 20 %}{% for i in range(100) %}{{ a }}"
                   "{% endfor %}"),
      "MiB");
  expect_contains(
      render_error("{% set n = namespace(a=[1]) %}{% for i in range(1000) %}"
                   "{% set n.a = [n.a] %}{% endfor %}"),
      "levels");
  expect_contains(
      render_error("{% set n = namespace(a=[1]) %}{% for i in range(100) %}"
                   "{% set n.a = [n.a, n.a] %}{% endfor %}"),
      "values");
  expect_contains(
      render_error("{{ 9223372036854775807 + 1 }}"), "beyond 64 bits");
}

TEST(JinjaTest, ANamespaceThatHoldsItselfIsFreed) {
  // The address sanitizer looks on.
  EXPECT_EQ(
      Template(
          "{% set n = namespace() %}{% set n.n = [n] %}"
          "{% macro m() %}{% endmacro %}{% set n.m = m %}{% set f = n.m %}"
          "{% for i in [n] %}{% set n.l = loop %}{% endfor %}ok",
          "t")
          .render(OrderedJson::object()),
      "ok");
}

TEST(JinjaTest, ContextMustBeSound) {
  Template empty("", "t");
  auto error = [&](const OrderedJson& context) {
    return message_of<RenderError>([&] { empty.render(context); });
  };
  expect_contains(error(OrderedJson::array()), "must be an object");
  expect_contains(error({{"a", "\xFF"}}), "not valid UTF-8");
  expect_contains(error({{"a", UINT64_MAX}}), "beyond 64 bits");
  OrderedJson deep = 1;
  for (int i = 0; i < 1000; ++i) {
    OrderedJson outer = OrderedJson::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  expect_contains(error({{"a", deep}}), "levels");
  expect_contains(syntax_error("\xFF"), "not valid UTF-8");
}

TEST(UnicodeCaseTest, FullMappings) {
  EXPECT_EQ(
      unicode::upper_case("ß ŉ ﬃ և \u0390 ᾴ"),
      "SS ʼN FFI ԵՒ \u0399\u0308\u0301 ΆΙ");
  EXPECT_EQ(unicode::lower_case_of_words("ΟΔΟΣ. Σ'Σ İ"), "οδος. σ'ς i̇");
  EXPECT_EQ(unicode::title_case("ǆa ﬁx they're"), "ǅa Fix They'Re");
  EXPECT_EQ(unicode::fold_case("Straße"), "strasse");
}

} // namespace
} // namespace accrue::jinja
