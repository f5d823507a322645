// SPDX-License-Identifier: Apache-2.0
#include <string_view>
#include <vector>

#include "io/json_parser.h"
#include "text/json_splitter.h"
#include "text/record.h"

namespace {

using Json = accrue::io::OrderedJson;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

/// A parser that is less strict agrees, and shapes are brought into form once.
void check_record(std::string_view text) {
  Json record;
  try {
    record = accrue::io::parse_json(text);
  } catch (const accrue::io::JsonError& error) {
    check(error.offset() <= text.size());
    return;
  }
  check(record == Json::parse(text));
  try {
    Json once = accrue::normalize_record(std::move(record));
    check(accrue::normalize_record(once) == once);
  } catch (const accrue::LineProblem&) {}
}

} // namespace

/// JSON text is cut into records, which are parsed and brought into form, or
/// refused. A valid array is cut into its elements.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> records;
  bool whole = true;
  try {
    accrue::JsonSplitter splitter(text);
    const char* end = text.data();
    while (auto record = splitter.next()) {
      check(!record->empty() && record->data() >= end);
      end = record->data() + record->size();
      check(end <= text.data() + text.size());
      check_record(*record);
      records.push_back(*record);
    }
  } catch (const accrue::io::JsonError& error) {
    check(error.offset() <= text.size());
    whole = false;
  }
  Json array = Json::parse(text, nullptr, /*exceptions=*/false);
  if (array.is_array() && !text.starts_with("\xEF\xBB\xBF")) {
    check(whole && records.size() == array.size());
    for (size_t i = 0; i < records.size(); ++i) {
      check(Json::parse(records[i]) == array[i]);
    }
  }
  return 0;
}
