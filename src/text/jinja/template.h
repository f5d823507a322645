// SPDX-License-Identifier: Apache-2.0
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

/// Error of a template that can't be rendered with what it was given.
class RenderError : public DataError {
 public:
  using DataError::DataError;
};

/// Refusal by the template itself: raise_exception('reason').
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

/// Result of rendering a template.
struct Rendered {
  std::string text;
  /// Begin and end, in bytes of `text`, of each part between {% generation %}
  /// and {% endgeneration %}. As in transformers, the begin of a block within a
  /// macro or {% set %} is the length of the output before that.
  std::vector<std::pair<size_t, size_t>> generated;
};

/// Returns the local time.
std::tm local_time();

/// A chat template: the part of Jinja2 that chat templates use, with the
/// additions and restrictions of transformers.
/// https://jinja.palletsprojects.com/templates
///
/// Difference from Jinja2: integers have 64 bits; no include, import, extends,
/// block and autoescape; no filters random, pprint, urlize, wordwrap, xmlattr,
/// filesizeformat. Time, recursion and the length of texts are limited.
/// Thread-safe.
class Template {
 public:
  /// Parses a template; `name` is for messages. Throws ConfigError with the
  /// line.
  Template(std::string_view source, std::string name);

  /// Renders the template. `context` is an object of the names that it may use,
  /// `now` the time for strftime_now(). Throws RenderError with the line.
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
