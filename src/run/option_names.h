// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <type_traits>

#include "run/options.h"

// Spellings of the enums that settings have.

namespace accrue {

/// Spellings of an enum's values on the command line and in files, in the
/// order of the enumerators; `last` is the last of these.
template <class E>
struct EnumNames;

template <>
struct EnumNames<Dtype> {
  static constexpr std::array values{"fp32", "fp64", "bf16"};
  static constexpr Dtype last = Dtype::kBf16;
};
template <>
struct EnumNames<ScheduleKind> {
  static constexpr std::array values{"constant", "cosine", "linear", "wsd"};
  static constexpr ScheduleKind last = ScheduleKind::kWsd;
};
template <>
struct EnumNames<OnNonFinite> {
  static constexpr std::array values{"error", "skip"};
  static constexpr OnNonFinite last = OnNonFinite::kSkip;
};
template <>
struct EnumNames<OptimizerKind> {
  static constexpr std::array values{"adamw", "sgd"};
  static constexpr OptimizerKind last = OptimizerKind::kSgd;
};
template <>
struct EnumNames<Checkpointing> {
  static constexpr std::array values{"auto", "on", "off"};
  static constexpr Checkpointing last = Checkpointing::kOff;
};
template <>
struct EnumNames<Packing> {
  static constexpr std::array values{"on", "documents", "off"};
  static constexpr Packing last = Packing::kOff;
};
template <>
struct EnumNames<ObjectiveKind> {
  static constexpr std::array values{"lm", "dpo"};
  static constexpr ObjectiveKind last = ObjectiveKind::kDpo;
};
template <>
struct EnumNames<ChatTemplate> {
  static constexpr std::array values{
      "auto",
      "chatml",
      "llama3",
      "mistral",
      "plain"};
  static constexpr ChatTemplate last = ChatTemplate::kPlain;
};
template <>
struct EnumNames<TrainOn> {
  static constexpr std::array values{"completion", "assistant", "last", "all"};
  static constexpr TrainOn last = TrainOn::kAll;
};
template <>
struct EnumNames<TooLong> {
  static constexpr std::array values{"cut", "drop", "error"};
  static constexpr TooLong last = TooLong::kError;
};
template <>
struct EnumNames<SaveDtype> {
  static constexpr std::array values{"fp32", "bf16", "fp16"};
  static constexpr SaveDtype last = SaveDtype::kFp16;
};

/// An enum whose values have spellings, each exactly one.
template <class E>
concept NamedEnum = std::is_enum_v<E> && EnumNames<E>::values.size() ==
    static_cast<size_t>(EnumNames<E>::last) + 1;

template <NamedEnum E>
constexpr const char* to_string(E value) {
  return EnumNames<E>::values[static_cast<size_t>(value)];
}

/// Returns all spellings, e.g. "fp32|fp64|bf16".
template <NamedEnum E>
std::string all_names(const char* separator) {
  std::string text;
  for (const char* name : EnumNames<E>::values) {
    text += (text.empty() ? "" : separator) + std::string(name);
  }
  return text;
}

} // namespace accrue
