#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace accrue::io {

using Json = nlohmann::json;
/// Keeps the order of insertion: for files that people read.
using OrderedJson = nlohmann::ordered_json;

/// Reads a JSON file. Throws DataError naming the file and the place.
Json read_json(const std::filesystem::path& path);

/// "an array", "a string", … for messages.
std::string_view type_name(const Json& value);

} // namespace accrue::io
