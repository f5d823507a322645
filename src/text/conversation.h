// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/json.h"

namespace accrue {

/// Error in a line of data. The message continues "line 3 of FILE: ".
class LineProblem : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A conversation of a line of data.
struct Conversation {
  /// Messages: [{"role": "user", "content": "…"}, …], with all keys that a
  /// template may use.
  io::OrderedJson messages = io::OrderedJson::array();
  /// Number of messages in the prompt, which is completed by the others; 0 if
  /// there is none.
  size_t prompt_messages = 0;
  /// For each message: 1 if the data says not to train on it, else 0.
  std::vector<uint8_t> left_out;
  /// Further variables for the template: "tools", "documents", ….
  io::OrderedJson names = io::OrderedJson::object();

  /// Appends the messages of `list`, a JSON array of objects with a "role";
  /// `key` names the array in errors. "weight", "train", "loss", "trainable",
  /// "loss_mask" and "masked" of a message say whether it is trained on, as in
  /// other tools for training. Throws LineProblem.
  void append(const io::OrderedJson& list, const char* key);
};

} // namespace accrue
