#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace accrue {

/// A regular expression on UTF-8 text, compiled by PCRE2 with Unicode
/// properties. tokenizer.json's are written for Oniguruma; what it means by \s
/// is translated, what means something else in PCRE2 is refused.
///
/// Thread-safe: matching keeps its state in a Matcher.
class Regex {
 public:
  /// Throws DataError with PCRE2's message.
  explicit Regex(const std::string& pattern);
  /// Matches `text` itself.
  static Regex literal(const std::string& text);

  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };

  /// Finds matches one after the other. One thread, any number of texts; not
  /// to be copied, because copies would share what matching writes to.
  class Matcher {
   public:
    explicit Matcher(const Regex& regex);
    Matcher(Matcher&&) noexcept;
    ~Matcher();

    /// The first match from byte `from` on. False if there is none. `text` must
    /// be valid UTF-8. Throws DataError if matching takes too much.
    bool find(std::string_view text, size_t from, Match& match);

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
