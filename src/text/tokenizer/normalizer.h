#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "text/tokenizer/regex.h"

namespace accrue {

/// The pattern of a Split or a Replace: {"String": …} or {"Regex": …}.
Regex read_pattern(const io::Node& node);

/// `text` with every match replaced by `content`, literally.
std::string replace_all(
    const Regex& regex,
    std::string_view text,
    std::string_view content);

/// Steps of a Sequence, or the one step itself, which may be nested. `read`
/// gets a step's node and its "type".
void for_each_step(
    const io::Node& node,
    const char* list,
    const std::function<void(const io::Node&, const std::string&)>& read);

/// The "normalizer" of a tokenizer.json: text to text, before anything is cut.
/// Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend,
/// Replace; others are refused.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(const io::Node& node);

  /// `continued`: `text` goes on where another left off, so that nothing is
  /// put before it.
  std::string operator()(std::string_view text, bool continued = false) const;

  bool empty() const {
    return steps_.empty();
  }

 private:
  struct Step {
    std::function<std::string(std::string_view)> run;
    bool prepends = false;
  };
  std::vector<Step> steps_;
};

} // namespace accrue
