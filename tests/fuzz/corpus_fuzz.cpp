// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "accrue/core/error.h"
#include "input.h"
#include "text/dataset.h"

/// Training data, as records (first byte even) or plain text, becomes samples
/// or is refused with a DataError.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const bool records = data[0] % 2 == 0;
  std::string path = accrue::fuzz::write_input(
      data + 1, size - 1, records ? "data.jsonl" : "data.txt");
  auto cache = std::filesystem::path(path).parent_path() / "cache";
  for (bool preference : {false, true}) {
    try {
      auto corpus = std::make_shared<accrue::Corpus>(accrue::Corpus::open(
          {.paths = {path},
           .skip_bad_lines = data[0] % 4 < 2,
           .cache = cache,
           .preference = preference,
           .seq_len = 16,
           .threads = 1}));
      for (auto packing :
           {accrue::Packing::kOff,
            accrue::Packing::kDocuments,
            accrue::Packing::kOn}) {
        accrue::Dataset dataset(corpus, 16, packing);
        for (uint64_t i = 0; i < dataset.size(); ++i) {
          if (dataset.sample(i).length() != dataset.length(i)) {
            std::abort();
          }
        }
      }
    } catch (const accrue::DataError&) {}
    std::filesystem::remove_all(cache);
  }
  return 0;
}
