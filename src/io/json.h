// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace accrue::io {

using Json = nlohmann::json;
/// JSON that keeps the order of insertion, for files that people read.
using OrderedJson = nlohmann::ordered_json;

/// Maximum levels of nesting. Printing or copying a value takes stack for each
/// level.
inline constexpr size_t kDeepestJson = 100;

/// Reads a JSON file. Throws DataError naming the file and the place.
Json read_json(const std::filesystem::path& path);

/// Returns "an array", "a string", …, for messages.
std::string_view type_name(const Json& value);
std::string_view type_name(const OrderedJson& value);

/// A value of a JSON file and its path in that file. Accessors throw DataError
/// naming the file and the field if the value has another type than they
/// return.
class Node {
 public:
  /// `file` is named in messages. `json` must outlive this object.
  Node(const Json& json, std::string file, std::string path = "")
      : json_(&json), file_(std::move(file)), path_(std::move(path)) {}

  const Json& json() const {
    return *json_;
  }

  /// Returns a field that must be there.
  Node at(const std::string& key) const;
  /// Returns a field; nullopt if it is absent or null.
  std::optional<Node> find(const std::string& key) const;
  /// Returns the elements of an array.
  std::vector<Node> elements() const;
  Node element(size_t index) const;

  const std::string& text() const;
  bool boolean() const;
  int64_t integer() const;

  /// Returns a field, or `fallback` if it is absent or null.
  std::string text(const std::string& key, const std::string& fallback) const;
  bool boolean(const std::string& key, bool fallback) const;

  /// Throws DataError: "[json] FILE: FIELD WHAT. Restore the file."
  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[noreturn]] void fail_type(const char* wanted) const;

  const Json* json_;
  std::string file_;
  std::string path_;
};

} // namespace accrue::io
