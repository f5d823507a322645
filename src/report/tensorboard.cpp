// SPDX-License-Identifier: Apache-2.0
#include "report/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "io/files.h"
#include "io/hash.h"

namespace accrue::report {
namespace {

namespace fs = std::filesystem;

// Event and Summary are protocol buffers:
// https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto

/// Encoding of the bytes that follow the key of a field.
enum class Wire : uint64_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5
};

/// Bytes of a number, which are little-endian on all machines that this runs
/// on.
template <class T>
std::string_view bytes_of(const T& number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

void put_varint(std::string& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    to += static_cast<char>(value | 0x80);
  }
  to += static_cast<char>(value);
}

void put_key(std::string& to, uint64_t field, Wire wire) {
  put_varint(to, field << 3 | static_cast<uint64_t>(wire));
}

void put_bytes(std::string& to, uint64_t field, std::string_view bytes) {
  put_key(to, field, Wire::kBytes);
  put_varint(to, bytes.size());
  to += bytes;
}

/// Visits every curve with its tag.
template <class Visitor>
void visit_curves(const StepMetrics& m, Visitor&& v) {
  auto unless_0 = [](int64_t count) {
    return count == 0 ? std::nullopt
                      : std::optional(static_cast<double>(count));
  };
  v("train/loss", m.loss);
  v("train/grad_norm", m.grad_norm);
  v("train/lr", m.lr);
  v("train/tokens_per_s", m.tokens_per_s);
  v("train/step_s", m.step_s);
  v("train/reward_margin", m.reward_margin);
  v("train/reward_accuracy", m.reward_accuracy);
  v("train/skipped", unless_0(m.skipped));
  v("train/rollbacks", unless_0(m.rollbacks));
  v("valid/loss", m.valid_loss);
  v("valid/reward_margin", m.valid_reward_margin);
  v("valid/reward_accuracy", m.valid_reward_accuracy);
  v("memory/peak_bytes", static_cast<double>(m.peak_bytes));
  v("memory/resident_peak_bytes", static_cast<double>(m.resident_peak_bytes));
}

/// Appends a Summary.Value for every curve with a value.
struct SummaryWriter {
  std::string& summary;

  void operator()(const char* tag, std::optional<double> value) {
    if (!value) {
      return;
    }
    const float number = std::isfinite(*value)
        ? static_cast<float>(*value)
        : std::numeric_limits<float>::quiet_NaN();
    std::string curve;
    put_bytes(curve, 1, tag);
    put_key(curve, 2, Wire::kFixed32); // simple_value
    curve += bytes_of(number);
    put_bytes(summary, 1, curve);
  }
};

/// Returns the beginning of an Event, which holds its time.
std::string event_at(double wall_time_s) {
  std::string event;
  put_key(event, 1, Wire::kFixed64);
  event += bytes_of(wall_time_s);
  return event;
}

/// Returns the CRC-32C of TFRecord files. They change it so that it stays
/// reliable for data that contains checksums itself.
uint32_t masked_checksum(std::string_view bytes) {
  const uint32_t checksum = io::crc32c(bytes);
  return (checksum >> 15 | checksum << 17) + 0xA282EAD8;
}

std::string framed(std::string_view event) {
  const uint64_t size_bytes = event.size();
  std::string record(bytes_of(size_bytes));
  record += bytes_of(masked_checksum(record));
  record += event;
  record += bytes_of(masked_checksum(event));
  return record;
}

double now_s() {
  return std::chrono::duration<double>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// TensorBoard reads files with "tfevents" in their names, in the order of
// names. The suffix tells files of accrue from those of other programs.
constexpr std::string_view kPrefix = "events.out.tfevents.";
constexpr std::string_view kSuffix = ".accrue";

std::string file_name(double wall_time_s) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format(
      "{}{:.0f}.{}{}", kPrefix, std::floor(wall_time_s), host.data(), kSuffix);
}

void remove_own_files(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix)) {
      fs::remove(entry.path());
    }
  }
}

} // namespace

std::string version_record(double wall_time_s) {
  std::string event = event_at(wall_time_s);
  put_bytes(event, 3, "brain.Event:2");
  return framed(event);
}

std::string step_record(const StepMetrics& metrics, double wall_time_s) {
  std::string event = event_at(wall_time_s);
  put_key(event, 2, Wire::kVarint);
  put_varint(event, static_cast<uint64_t>(metrics.step));
  std::string summary;
  visit_curves(metrics, SummaryWriter{summary});
  put_bytes(event, 5, summary);
  return framed(event);
}

EventFile::EventFile(
    const fs::path& folder,
    const std::vector<StepMetrics>& kept) {
  io::make_directory(folder);
  remove_own_files(folder);
  const double now = now_s();
  path_ = folder / file_name(now);
  // metrics.jsonl holds no times of day: kept steps are placed one after
  // another, the last one ending now.
  double time = now;
  for (const StepMetrics& metrics : kept) {
    time -= metrics.step_s;
  }
  std::string records = version_record(time);
  for (const StepMetrics& metrics : kept) {
    time += metrics.step_s;
    records += step_record(metrics, time);
  }
  io::append_file(path_, records);
}

void EventFile::append(const StepMetrics& metrics) {
  io::append_file(path_, step_record(metrics, now_s()));
}

} // namespace accrue::report
