#include "io/json.h"

#include <fmt/format.h>

#include "accrue/core/error.h"
#include "io/files.h"

namespace accrue::io {

Json read_json(const std::filesystem::path& path) {
  std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    auto end = text.begin() +
        static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    throw DataError(fmt::format(
        "[json] {} line {} is not valid JSON ({}). Restore the file.",
        path.string(),
        1 + std::count(text.begin(), end, '\n'),
        error.what()));
  }
}

std::string_view type_name(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "a boolean";
    default:
      return "a number";
  }
}

} // namespace accrue::io
