// SPDX-License-Identifier: Apache-2.0
#include "accrue/core/error.h"
#include "text/jinja/template.h"

/// A chat template renders, or is refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto kContext = accrue::io::OrderedJson::parse(R"({
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": "caf\u00e9 \ud83d\ude42 <b>"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "abc", "function": {"name": "f", "arguments": {"x": 1.5}}}]},
      {"role": "tool", "content": "[1, 2]", "tool_call_id": "abc"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {
      "type": "object", "properties": {"x": {"type": "number"}}}}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true})");
  try {
    accrue::jinja::Template parsed(
        std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    parsed.render_marked(kContext, std::tm{});
  } catch (const accrue::Error&) {}
  return 0;
}
