// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "text/tokenizer/regex.h"

namespace accrue {

/// Reads the pattern of a Split or a Replace: {"String": …} or {"Regex": …}.
Regex read_pattern(const io::Node& node);

/// Replaces every match in `text` by `content`, which is taken literally.
std::string replace_all(
    const Regex& regex,
    std::string_view text,
    std::string_view content);

/// Calls read(step, type) for each step of a Sequence, which may be nested, or
/// for `node` itself if it is not a Sequence. `list` is the key of the steps.
void for_each_step(
    const io::Node& node,
    const char* list,
    const std::function<void(const io::Node&, const std::string&)>& read);

/// The "normalizer" of a tokenizer.json: changes text before it is split.
/// Supported: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents,
/// Prepend, Replace. Others are refused.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(const io::Node& node);

  /// `continued`: `text` continues an earlier one, so that nothing is put
  /// before it.
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
