// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "text/unicode.h"

namespace accrue {

/// A regular expression for UTF-8 text, compiled by PCRE2 with Unicode
/// properties. Patterns of tokenizer.json are written for Oniguruma: \s is
/// translated; other constructs that mean something else in PCRE2 are refused.
///
/// Thread-safe: the state of matching is in a Matcher.
class Regex {
 public:
  /// Compiles a pattern. Throws DataError with PCRE2's message.
  explicit Regex(const std::string& pattern);
  /// Makes a pattern that matches exactly `text`.
  static Regex literal(const std::string& text);

  /// Range of bytes.
  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };

  /// Finds matches in any number of texts, one after another. For one thread.
  /// Can't be copied, because copies would share the memory that matching
  /// writes to.
  class Matcher {
   public:
    explicit Matcher(const Regex& regex);
    Matcher(Matcher&&) noexcept;
    ~Matcher();

    /// Finds the first match from byte `from` on. Returns false if there is
    /// none. `text` must be valid UTF-8. Throws DataError if matching takes too
    /// long.
    bool find(std::string_view text, size_t from, Match& match);

    /// Calls use(match) for all matches from the start of `text` to its end.
    /// They don't overlap; after an empty match the search goes on behind the
    /// next character. Throws like find().
    template <class Use>
    void for_each(std::string_view text, Use use) {
      Match match;
      for (size_t from = 0; from <= text.size() && find(text, from, match);) {
        use(match);
        from = match.end;
        if (match.begin == match.end) {
          from +=
              std::max<size_t>(1, unicode::character_length(text.substr(from)));
        }
      }
    }

   private:
    std::shared_ptr<const struct CompiledRegex> regex_;
    std::unique_ptr<struct MatchMemory> memory_;
  };

 private:
  Regex() = default;
  void compile(const std::string& pattern, unsigned options);

  std::shared_ptr<const struct CompiledRegex> compiled_;
};

} // namespace accrue
