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
/// Keeps the order of insertion: for files that people read.
using OrderedJson = nlohmann::ordered_json;

/// Levels of nesting at most: whoever prints or copies a value does it level by
/// level on the stack.
inline constexpr size_t kDeepestJson = 100;

/// Reads a JSON file. Throws DataError naming the file and the place.
Json read_json(const std::filesystem::path& path);

/// "an array", "a string", … for messages.
std::string_view type_name(const Json& value);
std::string_view type_name(const OrderedJson& value);

/// A value of a JSON file and where it stands there. What is read from it must
/// have the type asked for; else DataError names the file and the field.
class Node {
 public:
  /// `file` is for messages. `json` must live as long as this.
  Node(const Json& json, std::string file, std::string path = "")
      : json_(&json), file_(std::move(file)), path_(std::move(path)) {}

  const Json& json() const {
    return *json_;
  }

  /// A field that must be there.
  Node at(const std::string& key) const;
  /// A field that may be absent or null.
  std::optional<Node> find(const std::string& key) const;
  /// The elements of an array.
  std::vector<Node> elements() const;
  Node element(size_t index) const;

  const std::string& text() const;
  bool boolean() const;
  int64_t integer() const;

  /// Fields with a default.
  std::string text(const std::string& key, const std::string& fallback) const;
  bool boolean(const std::string& key, bool fallback) const;

  /// "[json] FILE: FIELD WHAT. Restore the file."
  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[noreturn]] void fail_type(const char* wanted) const;

  const Json* json_;
  std::string file_;
  std::string path_;
};

} // namespace accrue::io
