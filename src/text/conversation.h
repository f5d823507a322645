#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/json.h"

namespace accrue {

/// What is wrong with a line of data, to be read after "line 3 of FILE: ".
class LineProblem : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A conversation as a line of data holds it.
struct Conversation {
  /// [{"role": "user", "content": "…"}, …], with all that a template may use.
  io::OrderedJson messages = io::OrderedJson::array();
  /// Of a prompt that is completed; 0 if there is none.
  size_t prompt_messages = 0;
  /// Of messages: whether the data says not to train on it.
  std::vector<uint8_t> left_out;
  /// Other names that its template may use: "tools", "documents", ….
  io::OrderedJson names = io::OrderedJson::object();

  /// Appends those of `list`, a JSON array of objects with a "role"; `key` is
  /// its name for messages. "weight", "train", "loss", "trainable", "loss_mask"
  /// and "masked" say whether an answer is trained on, as the tools around them
  /// have it. Throws LineProblem.
  void append(const io::OrderedJson& list, const char* key);
};

} // namespace accrue
