// SPDX-License-Identifier: Apache-2.0
#include "text/show.h"

#include "text/unicode.h"

namespace accrue {

std::string show(const Vocabulary& vocabulary, const Sequence& sequence) {
  std::string text;
  std::vector<uint32_t> run;
  bool open = false;
  auto flush = [&](bool trained) {
    text += unicode::replace_invalid(vocabulary.decode(run));
    run.clear();
    if (trained != open) {
      text += trained ? "⟦" : "⟧";
      open = trained;
    }
  };
  for (size_t i = 0; i < sequence.tokens.size(); ++i) {
    // The first token is not a target.
    bool trained =
        i > 0 && (sequence.loss_mask.empty() || sequence.loss_mask[i - 1] != 0);
    if (trained != open) {
      flush(trained);
    }
    run.push_back(static_cast<uint32_t>(sequence.tokens[i]));
  }
  flush(false);
  return text;
}

} // namespace accrue
