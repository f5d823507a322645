// SPDX-License-Identifier: Apache-2.0
#include "accrue/core/error.h"
#include "input.h"
#include "text/tokenizer/tokenizer.h"

/// Loads a tokenizer.json, then encodes and decodes, or refuses it with a
/// DataError.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string path = accrue::fuzz::write_input(data, size, "tokenizer.json");
  try {
    auto tokenizer = accrue::Tokenizer::load(path);
    accrue::Tokenizer::Encoder encode(tokenizer);
    for (const char* text :
         {"",
          " a  b\n\n12 it's",
          "caf\xc3\xa9 e\xcc\x81 \xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x99\x82",
          "<s>x<unk> _.,-\t\xe2\x96\x81y",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "a"}) {
      tokenizer->decode(encode(text));
    }
    std::vector<uint32_t> all;
    for (uint32_t id = 0; id < std::min(tokenizer->size(), 1000U); ++id) {
      all.push_back(id);
    }
    tokenizer->decode(all);
  } catch (const accrue::DataError&) {}
  return 0;
}
