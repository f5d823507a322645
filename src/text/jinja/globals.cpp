// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <ctime>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace accrue::jinja {
namespace {

/// Jinja's joiner: returns an empty text on the first call, then the separator.
struct Joiner : Object {
  explicit Joiner(Value text)
      : Object(Type::kObject), separator(std::move(text)) {
    hold(separator);
  }
  std::string type_name() const override {
    return "Joiner";
  }
  bool is_callable() const override {
    return true;
  }
  Value call(Runtime&, Arguments arguments) override {
    const Bound none("joiner", "", std::move(arguments)); // refuses any
    return std::exchange(used, true) ? separator : Value("");
  }

  Value separator;
  bool used = false;
};

/// Jinja's cycler.
struct Cycler : Object, std::enable_shared_from_this<Cycler> {
  explicit Cycler(std::vector<Value> values)
      : Object(Type::kObject), items(std::move(values)) {
    for (const Value& item : items) {
      hold(item);
    }
  }
  std::string type_name() const override {
    return "Cycler";
  }
  std::optional<Value> attribute(const std::string& name) override;

  std::vector<Value> items;
  size_t position = 0;
};

constexpr Builtin kCyclerMethods[] = {
    {"next",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       auto& cycler = self.as<Cycler>();
       Value current = cycler.items[cycler.position];
       cycler.position = (cycler.position + 1) % cycler.items.size();
       return current;
     }},
    {"reset",
     "",
     [](Runtime&, const Value& self, const Bound&) {
       self.as<Cycler>().position = 0;
       return Value();
     }},
};

std::optional<Value> Cycler::attribute(const std::string& name) {
  if (name == "current") {
    return items[position];
  }
  for (const Builtin& method : kCyclerMethods) {
    if (name == method.name) {
      return Value(std::make_shared<Function>(method, shared_from_this()));
    }
  }
  return std::nullopt;
}

Value make_range(Runtime&, const Value&, const Bound& arguments) {
  if (!arguments.has(1)) {
    return std::make_shared<Range>(0, arguments.integer(0), 1);
  }
  return std::make_shared<Range>(
      arguments.integer(0), arguments.integer(1), arguments.integer(2, 1));
}

Value make_namespace(Runtime& runtime, const Value&, const Bound& arguments) {
  auto space = runtime.make_namespace();
  auto attributes = make_dict(runtime, arguments);
  for (const auto& [key, value] : attributes->entries()) {
    space->set(key.is_string() ? key.text() : repr(key), value);
  }
  return space;
}

Value make_cycler(Runtime&, const Value&, const Bound& arguments) {
  if (arguments.rest().positional.empty() || !arguments.rest().named.empty()) {
    fail("cycler() needs items");
  }
  return std::make_shared<Cycler>(arguments.rest().positional);
}

[[noreturn]] Value raise_exception(
    Runtime&,
    const Value&,
    const Bound& arguments) {
  throw Refusal(to_text(arguments[0]));
}

/// Python's strftime for a time without a time zone.
Value format_time(Runtime& runtime, const Value&, const Bound& arguments) {
  std::string format;
  const std::string& given = arguments.text(0);
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] != '%' || i + 1 == given.size()) {
      format += given[i];
      continue;
    }
    const char code = given[++i];
    if (code == 'f') { // microseconds
      format += "000000";
    } else if (code != 'z' && code != 'Z') {
      format += '%';
      format += code;
    }
  }
  if (format.empty()) {
    return "";
  }
  format += ' '; // strftime also returns 0 for an empty result
  std::string text(64, '\0');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  size_t length = 0;
  while ((length = std::strftime(
              text.data(), text.size(), format.c_str(), &runtime.now)) == 0) {
    check_length(text.size());
    text.resize(text.size() * 2);
  }
#pragma GCC diagnostic pop
  text.resize(length - 1);
  return text;
}

constexpr Builtin kGlobals[] = {
    {"cycler", "*", make_cycler},
    {"dict",
     "*",
     [](Runtime& runtime, const Value&, const Bound& arguments) {
       return Value(make_dict(runtime, arguments));
     }},
    {"joiner",
     "sep?",
     [](Runtime&, const Value&, const Bound& arguments) {
       return Value(std::make_shared<Joiner>(arguments.get(0, ", ")));
     }},
    {"namespace", "*", make_namespace},
    {"raise_exception", "message", raise_exception},
    {"range", "/ start stop? step?", make_range},
    {"strftime_now", "format", format_time},
};

} // namespace

std::span<const Builtin> globals() {
  return kGlobals;
}

} // namespace accrue::jinja
