// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "accrue/core/error.h"
#include "support.h"
#include "text/corpus.h"

namespace accrue {

/// Corpora of bytes in a folder with a cache.
class CorpusTest : public ::testing::Test {
 protected:
  Corpus open(std::vector<std::string> paths, bool skip_bad_lines = false) {
    return Corpus::open(
        {.paths = std::move(paths),
         .skip_bad_lines = skip_bad_lines,
         .cache = folder_ / "cache"});
  }

  std::string error(const std::string& path) {
    auto message = testing::message_of<DataError>([&] { open({path}); });
    testing::expect_contains(message, path);
    return message;
  }

  static std::string text_of(const Corpus& corpus) {
    std::string text;
    for (int64_t token : corpus.tokens(0, corpus.num_tokens())) {
      text += token == 0 ? '|' : static_cast<char>(token);
    }
    return text;
  }

  testing::TemporaryFolder folder_;
};

} // namespace accrue
