// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "text/jinja/parser_nesting.h"

namespace accrue::jinja {

// ---- blocks -----------------------------------------------------------------

Body Parser::parse() {
  Body body;
  names_.begin();
  body.block = parse_block({});
  body.hidden = names_.end();
  report_unknown_since(0);
  return body;
}

void Parser::report_unknown_since(size_t count) {
  if (unknown_.size() > count) {
    throw unknown_[count];
  }
}

Block Parser::parse_block(Words ends) {
  Nesting nesting(*this);
  Block block;
  while (true) {
    const Token& token = current();
    switch (token.kind) {
      case Kind::kData:
        block.push_back({Text{token.text}, token.line});
        next();
        break;
      case Kind::kOutputBegin: {
        next();
        int line = current().line;
        block.push_back({Output{parse_tuple()}, line});
        expect(Kind::kOutputEnd, "}}");
        break;
      }
      case Kind::kBlockBegin:
        next();
        for (std::string_view end : ends) {
          if (is_name(end)) {
            return block;
          }
        }
        if (current().kind != Kind::kName) {
          fail(fmt::format(
              "expected the name of a tag, got {}", describe(current())));
        }
        open_tags_.push_back(current().text);
        if (is_name("print")) {
          parse_print(block);
        } else {
          block.push_back(parse_statement());
        }
        open_tags_.pop_back();
        expect(Kind::kBlockEnd, "%}");
        break;
      default: // the end: no other token occurs outside of tags
        if (ends.size() > 0) {
          fail(fmt::format(
              "the template ends before '{}' closes '{}'",
              fmt::join(ends, "' or '"),
              open_tags_.back()));
        }
        return block;
    }
  }
}

Statement Parser::parse_statement() {
  using Parse = Statement (Parser::*)();
  static constexpr std::pair<std::string_view, Parse> kTags[] = {
      {"if", &Parser::parse_if},
      {"for", &Parser::parse_for},
      {"set", &Parser::parse_set},
      {"macro", &Parser::parse_macro},
      {"call", &Parser::parse_call_block},
      {"filter", &Parser::parse_filter_block},
      {"with", &Parser::parse_with},
      {"generation", &Parser::parse_generation},
      {"break", &Parser::parse_loop_control},
      {"continue", &Parser::parse_loop_control}};
  static constexpr std::string_view kLeftOut[] = {
      "include", "import", "from", "extends", "block", "autoescape"};
  const std::string& name = current().text;
  for (const auto& [tag, parse] : kTags) {
    if (name == tag) {
      int line = current().line;
      Statement statement = (this->*parse)();
      statement.line = line;
      return statement;
    }
  }
  if (std::find(std::begin(kLeftOut), std::end(kLeftOut), name) !=
      std::end(kLeftOut)) {
    fail(fmt::format("the tag '{}' is not supported in chat templates", name));
  }
  if (open_tags_.size() > 1) {
    fail(fmt::format(
        "unknown tag '{}' within '{}'",
        name,
        open_tags_[open_tags_.size() - 2]));
  }
  fail(fmt::format("unknown tag '{}'", name));
}

Block Parser::parse_body(Words ends) {
  skip_operator(":");
  expect(Kind::kBlockEnd, "%}");
  return parse_block(ends);
}

Block Parser::parse_to_end(std::string_view end) {
  const size_t unknown = unknown_.size();
  Block block = parse_body({end});
  report_unknown_since(unknown);
  next();
  return block;
}

// ---- statements -------------------------------------------------------------

Statement Parser::parse_if() {
  const size_t unknown = unknown_.size();
  If statement;
  bool more = true;
  while (more) {
    next(); // if, elif
    ExpressionPtr test = parse_tuple(false);
    names_.begin_branch();
    Block block = parse_body({"elif", "else", "endif"});
    names_.end_branch();
    statement.branches.emplace_back(std::move(test), std::move(block));
    more = is_name("elif");
  }
  if (next().text == "else") {
    names_.begin_branch();
    statement.otherwise = parse_body({"endif"});
    names_.end_branch();
    next();
  }
  unknown_.resize(unknown);
  return {std::move(statement)};
}

Statement Parser::parse_for() {
  next();
  For loop;
  ++loops_;
  loop.target = parse_target(false);
  expect_name("in");
  --loops_;
  loop.iterable = parse_tuple(false);
  ++loops_;
  const size_t unknown = unknown_.size();
  if (skip_name("if")) {
    names_.begin();
    set_names(loop.target, true);
    loop.test = parse_expression();
    names_.end();
  }
  loop.recursive = skip_name("recursive");

  names_.begin();
  set_names(loop.target, true);
  names_.declare("loop");
  ++breakable_;
  loop.body.block = parse_body({"endfor", "else"});
  --breakable_;
  loop.body.hidden = names_.end();
  const bool has_else = next().text == "else";
  names_.begin();
  if (has_else) {
    // The loop has ended here: a break belongs to the loop around it.
    loop.otherwise.block = parse_body({"endfor"});
    next();
  }
  loop.otherwise.hidden = names_.end();
  --loops_;
  report_unknown_since(unknown);
  return {std::move(loop)};
}

Statement Parser::parse_loop_control() {
  const std::string& name = next().text;
  if (breakable_ == 0) {
    fail(fmt::format("'{}' outside of a loop", name));
  }
  if (name == "break") {
    return {Break{}};
  }
  return {Continue{}};
}

Statement Parser::parse_set() {
  next();
  Target target = parse_target(true);
  if (skip_operator("=")) {
    ExpressionPtr value = parse_tuple();
    set_names(target, false);
    return {Set{std::move(target), std::move(value)}};
  }
  SetBlock set{.target = std::move(target)};
  const size_t unknown = unknown_.size();
  names_.begin();
  while (skip_operator("|")) {
    set.filter = parse_filter(std::move(set.filter));
  }
  set.body.block = parse_to_end("endset");
  set.body.hidden = names_.end();
  report_unknown_since(unknown);
  set_names(set.target, false);
  return {std::move(set)};
}

Statement Parser::parse_filter_block() {
  next();
  FilterBlock block;
  const size_t unknown = unknown_.size();
  do {
    block.filter = parse_filter(std::move(block.filter));
  } while (skip_operator("|"));
  names_.begin();
  block.body.block = parse_to_end("endfilter");
  block.body.hidden = names_.end();
  report_unknown_since(unknown);
  return {std::move(block)};
}

Statement Parser::parse_with() {
  next();
  With with;
  while (current().kind != Kind::kBlockEnd) {
    if (!with.values.empty()) {
      expect_operator(",");
    }
    Target target = parse_target(false);
    expect_operator("=");
    ExpressionPtr value = parse_expression();
    with.values.emplace_back(std::move(target), std::move(value));
  }
  names_.begin();
  for (const auto& [target, value] : with.values) {
    set_names(target, true);
  }
  with.body.block = parse_to_end("endwith");
  with.body.hidden = names_.end();
  return {std::move(with)};
}

void Parser::parse_print(Block& block) {
  int line = next().line;
  for (bool first = true; current().kind != Kind::kBlockEnd; first = false) {
    if (!first) {
      expect_operator(",");
    }
    block.push_back({Output{parse_expression()}, line});
  }
}

// ---- targets ----------------------------------------------------------------

Target Parser::parse_target(bool with_attributes) {
  Target first = parse_target_part(with_attributes);
  if (!is_operator(",")) {
    return first;
  }
  Target tuple{.is_tuple = true};
  tuple.parts.push_back(std::move(first));
  while (skip_operator(",")) {
    if (current().kind == Kind::kBlockEnd || is_operator(")")) {
      break;
    }
    tuple.parts.push_back(parse_target_part(with_attributes));
  }
  return tuple;
}

Target Parser::parse_target_part(bool with_attributes) {
  Nesting nesting(*this);
  if (skip_operator("(")) {
    Target target = parse_target(false);
    expect_operator(")");
    return target;
  }
  const Token& token = current();
  Target target{.name = expect_any_name()};
  for (const char* word : {"true", "false", "none", "True", "False", "None"}) {
    if (target.name == word) {
      fail(fmt::format("can't assign to '{}'", word), token.line);
    }
  }
  if (with_attributes && skip_operator(".")) {
    target.attribute = expect_any_name();
  } else if (target.name == "loop" && loops_ > 0) {
    fail("can't assign to the special name 'loop' in a loop", token.line);
  }
  return target;
}

void Parser::set_names(const Target& target, bool as_parameters) {
  if (target.is_tuple) {
    for (const Target& part : target.parts) {
      set_names(part, as_parameters);
    }
  } else if (!target.attribute.empty()) {
    names_.read(target.name);
  } else if (as_parameters) {
    names_.declare(target.name);
  } else {
    names_.set(target.name);
  }
}

} // namespace accrue::jinja
