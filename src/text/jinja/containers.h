// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>

#include "text/jinja/value.h"

namespace accrue::jinja {

/// A list or a tuple.
struct Sequence : Object {
  Sequence(Type type, std::vector<Value> values);
  std::string type_name() const override;
  std::optional<Value> attribute(const std::string& name) override;

  std::vector<Value> items;
  bool is_group = false; // made by groupby: has .grouper and .list
};
Value make_list(std::vector<Value> items);
Value make_tuple(std::vector<Value> items);

/// A dict that keeps the order of insertion.
class Dict : public Object {
 public:
  Dict() : Object(Type::kDict) {}
  std::string type_name() const override;

  /// Returns null if the key is absent. Fails if `key` can't be a key.
  const Value* find(const Value& key) const;
  void set(const Value& key, Value value);
  const std::vector<std::pair<Value, Value>>& entries() const {
    return entries_;
  }

 private:
  struct Hash {
    size_t operator()(const Value& key) const;
  };
  struct Equal {
    bool operator()(const Value& left, const Value& right) const;
  };
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<Value, size_t, Hash, Equal> index_;
};

} // namespace accrue::jinja
