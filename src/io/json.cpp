// SPDX-License-Identifier: Apache-2.0
#include "io/json.h"

#include <fmt/format.h>

#include "accrue/core/error.h"
#include "io/files.h"

namespace accrue::io {

Json read_json(const std::filesystem::path& path) {
  std::string text = read_file(path);
  try {
    return Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
      if (depth > static_cast<int>(kDeepestJson)) {
        throw DataError(fmt::format(
            "[json] {} is nested too deeply, more than {} levels. Restore the "
            "file.",
            path.string(),
            kDeepestJson));
      }
      return true;
    });
  } catch (const Json::parse_error& error) {
    auto end = text.begin() +
        static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    throw DataError(fmt::format(
        "[json] {} line {} is not valid JSON ({}). Restore the file.",
        path.string(),
        1 + std::count(text.begin(), end, '\n'),
        error.what()));
  } catch (const Json::exception& error) { // e.g. a number out of range
    throw DataError(fmt::format(
        "[json] {} can't be read ({}). Restore the file.",
        path.string(),
        error.what()));
  }
}

namespace {

std::string_view name_of(Json::value_t type) {
  switch (type) {
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

} // namespace

std::string_view type_name(const Json& value) {
  return name_of(value.type());
}

std::string_view type_name(const OrderedJson& value) {
  return name_of(value.type());
}

Node Node::at(const std::string& key) const {
  auto found = find(key);
  if (!found) {
    Node(*json_, file_, path_.empty() ? key : path_ + "." + key)
        .fail("is missing");
  }
  return *found;
}

std::optional<Node> Node::find(const std::string& key) const {
  if (!json_->is_object()) {
    fail_type("an object");
  }
  auto it = json_->find(key);
  if (it == json_->end() || it->is_null()) {
    return std::nullopt;
  }
  return Node(*it, file_, path_.empty() ? key : path_ + "." + key);
}

std::vector<Node> Node::elements() const {
  if (!json_->is_array()) {
    fail_type("an array");
  }
  std::vector<Node> nodes;
  nodes.reserve(json_->size());
  for (size_t i = 0; i < json_->size(); ++i) {
    nodes.push_back(element(i));
  }
  return nodes;
}

Node Node::element(size_t index) const {
  return {(*json_)[index], file_, fmt::format("{}[{}]", path_, index)};
}

const std::string& Node::text() const {
  if (!json_->is_string()) {
    fail_type("a string");
  }
  return json_->get_ref<const std::string&>();
}

bool Node::boolean() const {
  if (!json_->is_boolean()) {
    fail_type("true or false");
  }
  return json_->get<bool>();
}

int64_t Node::integer() const {
  if (!json_->is_number_integer()) {
    fail_type("a whole number");
  }
  return json_->get<int64_t>();
}

std::string Node::text(const std::string& key, const std::string& fallback)
    const {
  auto found = find(key);
  return found ? found->text() : fallback;
}

bool Node::boolean(const std::string& key, bool fallback) const {
  auto found = find(key);
  return found ? found->boolean() : fallback;
}

void Node::fail(const std::string& what) const {
  throw DataError(fmt::format(
      "[json] {}: {} {}. Restore the file.",
      file_,
      path_.empty() ? "its content" : "\"" + path_ + "\"",
      what));
}

void Node::fail_type(const char* wanted) const {
  fail(fmt::format("must be {}, got {}", wanted, type_name(*json_)));
}

} // namespace accrue::io
