// SPDX-License-Identifier: Apache-2.0
#include "text/jinja/containers.h"

#include "text/jinja/operators.h"

namespace accrue::jinja {

Sequence::Sequence(Type kind, std::vector<Value> values)
    : Object(kind), items(std::move(values)) {
  for (const Value& item : items) {
    hold(item);
  }
}

std::string Sequence::type_name() const {
  return type == Type::kTuple ? "tuple" : "list";
}

std::optional<Value> Sequence::attribute(const std::string& name) {
  if (is_group && (name == "grouper" || name == "list")) {
    return items[name == "list"];
  }
  return std::nullopt;
}

Value make_list(std::vector<Value> items) {
  return std::make_shared<Sequence>(Type::kList, std::move(items));
}

Value make_tuple(std::vector<Value> items) {
  return std::make_shared<Sequence>(Type::kTuple, std::move(items));
}

std::string Dict::type_name() const {
  return "dict";
}

const Value* Dict::find(const Value& key) const {
  if (entries_.empty()) {
    hash(key); // fails for a key without a hash
    return nullptr;
  }
  auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

void Dict::set(const Value& key, Value value) {
  auto [found, is_new] = index_.try_emplace(key, entries_.size());
  hold(value);
  if (is_new) {
    hold(key);
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[found->second].second = std::move(value);
  }
}

size_t Dict::Hash::operator()(const Value& key) const {
  return hash(key);
}

bool Dict::Equal::operator()(const Value& left, const Value& right) const {
  return equal(left, right);
}

} // namespace accrue::jinja
