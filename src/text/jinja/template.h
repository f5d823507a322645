#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "accrue/core/error.h"
#include "io/json.h"

namespace accrue::jinja {

struct Body;

/// A template can't be rendered for what it was given.
class RenderError : public DataError {
 public:
  using DataError::DataError;
};

/// The template itself refuses what it was given: raise_exception('reason').
class RefusedError : public RenderError {
 public:
  RefusedError(const std::string& message, std::string reason)
      : RenderError(message), reason_(std::move(reason)) {}

  const std::string& reason() const {
    return reason_;
  }

 private:
  std::string reason_;
};

struct Rendered {
  std::string text;
  /// Begin and end, in bytes of `text`, of what was written between
  /// {% generation %} and {% endgeneration %}. As in transformers, a block
  /// within a macro or {% set %} counts from where the output ended before.
  std::vector<std::pair<size_t, size_t>> generated;
};

/// The time of this computer's clock, here.
std::tm local_time();

/// A chat template: the part of Jinja2 that they use, with what transformers
/// adds to it and forbids in it. https://jinja.palletsprojects.com/templates
///
/// Difference from Jinja2: integers have 64 bits; no include, import, extends,
/// block and autoescape, no filters random, pprint, urlize, wordwrap, xmlattr,
/// filesizeformat. Time, recursion and text are limited. Thread-safe.
class Template {
 public:
  /// `name` is for messages. Throws ConfigError with the line.
  Template(std::string_view source, std::string name);

  /// `context` is an object: the names that the template may use. `now` is what
  /// strftime_now() says. Throws RenderError with the line.
  std::string render(
      const io::OrderedJson& context,
      const std::tm& now = local_time()) const;
  Rendered render_marked(
      const io::OrderedJson& context,
      const std::tm& now = local_time()) const;

 private:
  std::string name_;
  std::shared_ptr<const Body> body_;
};

} // namespace accrue::jinja
