// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/template.h"

#include <fmt/format.h>

#include "text/jinja/evaluate.h"
#include "text/jinja/parser.h"
#include "text/unicode.h"

namespace accrue::jinja {

std::tm local_time() {
  std::time_t now = std::time(nullptr);
  std::tm time{};
  localtime_r(&now, &time);
  return time;
}

Template::Template(std::string_view source, std::string name)
    : name_(std::move(name)) {
  auto refuse = [this](int line, const std::string& problem) {
    throw ConfigError(fmt::format(
        "[chat template] {}:{}: {}. Mend the template, or pass another.",
        name_,
        line,
        problem));
  };
  if (unicode::find_invalid(source) != std::string_view::npos) {
    refuse(1, "the template is not valid UTF-8");
  }
  try {
    body_ = std::make_shared<const Body>(Parser(source).parse());
  } catch (const SyntaxError& error) {
    refuse(error.line, error.message);
  } catch (const Failure& failure) { // a value is too large
    refuse(1, failure.what());
  }
}

std::string Template::render(const io::OrderedJson& context, const std::tm& now)
    const {
  return render_marked(context, now).text;
}

Rendered Template::render_marked(
    const io::OrderedJson& context,
    const std::tm& now) const {
  Runtime runtime(now);
  int line = 1;
  try {
    Value names = Value::from_json(context);
    if (!names.is(Type::kDict)) {
      fail("what is given to a template must be an object");
    }
    Evaluator evaluator(runtime, std::move(names));
    struct KeepLine {
      const Evaluator& evaluator;
      int& line;
      ~KeepLine() {
        line = evaluator.line();
      }
    } keep{evaluator, line};
    std::string text = evaluator.run(*body_);
    return {std::move(text), evaluator.generated()};
  } catch (const Refusal& refusal) {
    throw RefusedError(
        fmt::format(
            "[chat template] {}:{}: the template refuses this: {}. Change what "
            "it is given.",
            name_,
            line,
            refusal.what()),
        refusal.what());
  } catch (const Failure& failure) {
    throw RenderError(fmt::format(
        "[chat template] {}:{}: {}. Mend the template or what it is given.",
        name_,
        line,
        failure.what()));
  }
}

} // namespace accrue::jinja
