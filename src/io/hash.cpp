// SPDX-License-Identifier: Apache-2.0
#include "io/hash.h"

#include <bit>
#include <cstring>

#include "io/files.h"

namespace accrue::io {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

/// Loads a little-endian word: all machines that this runs on are
/// little-endian.
template <class Word>
Word load(const std::byte* bytes) {
  Word word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

uint64_t take_in(uint64_t lane, uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

/// CRC-32C of every byte, in the bit order where the lowest bit comes first.
constexpr std::array<uint32_t, 256> kCrc32cTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
    table[byte] = crc;
  }
  return table;
}();

} // namespace

std::array<uint64_t, 4> Xxh64::initial() {
  return {kPrime1 + kPrime2, kPrime2, 0, ~kPrime1 + 1};
}

void Xxh64::add(std::span<const std::byte> bytes) {
  size_bytes_ += bytes.size();
  auto lanes = lanes_; // a copy that stays in registers
  for (; bytes.size() >= 32; bytes = bytes.subspan(32)) {
    for (size_t i = 0; i < 4; ++i) {
      lanes[i] = take_in(lanes[i], load<uint64_t>(bytes.data() + 8 * i));
    }
  }
  lanes_ = lanes;
  if (!bytes.empty()) {
    std::memcpy(rest_.data(), bytes.data(), bytes.size());
  }
}

uint64_t Xxh64::finish() const {
  uint64_t hash = kPrime5;
  if (size_bytes_ >= 32) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) +
        std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
    for (uint64_t lane : lanes_) {
      hash = (hash ^ take_in(0, lane)) * kPrime1 + kPrime4;
    }
  }
  hash += size_bytes_;
  const std::byte* at = rest_.data();
  const std::byte* end = at + size_bytes_ % 32;
  for (; end - at >= 8; at += 8) {
    hash ^= take_in(0, load<uint64_t>(at));
    hash = std::rotl(hash, 27) * kPrime1 + kPrime4;
  }
  if (end - at >= 4) {
    hash ^= load<uint32_t>(at) * kPrime1;
    hash = std::rotl(hash, 23) * kPrime2 + kPrime3;
    at += 4;
  }
  for (; at < end; ++at) {
    hash ^= std::to_integer<uint64_t>(*at) * kPrime5;
    hash = std::rotl(hash, 11) * kPrime1;
  }
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (char byte : bytes) {
    crc = crc >> 8 ^ kCrc32cTable[(crc ^ static_cast<uint8_t>(byte)) & 0xFF];
  }
  return ~crc;
}

uint64_t hash_file(
    const std::filesystem::path& path,
    const std::function<void(uint64_t bytes)>& progress) {
  Xxh64 hash;
  read_blocks(path, [&](std::span<const std::byte> block) {
    hash.add(block);
    if (progress) {
      progress(block.size());
    }
  });
  return hash.finish();
}

} // namespace accrue::io
