// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

namespace accrue::io {

/// XXH64 with seed 0 (Yann Collet's xxHash, description of the format 0.1.1): a
/// 64-bit hash that is as fast as memory. Finds accidental changes; offers no
/// protection against deliberate collisions.
class Xxh64 {
 public:
  /// Adds the next bytes. Each call but the last one must add a multiple of 32.
  void add(std::span<const std::byte> bytes);

  /// Returns the hash of all bytes.
  uint64_t finish() const;

 private:
  std::array<uint64_t, 4> lanes_ = initial();
  uint64_t size_bytes_ = 0;
  std::array<std::byte, 32> rest_{}; // the last size_bytes_ % 32 bytes

  static std::array<uint64_t, 4> initial();
};

/// CRC-32C (Castagnoli's polynomial, RFC 3720 appendix B.4), which zlib lacks.
uint32_t crc32c(std::string_view bytes);

/// Returns the hash of a file. Calls progress(bytes) after each block.
uint64_t hash_file(
    const std::filesystem::path& path,
    const std::function<void(uint64_t bytes)>& progress = {});

} // namespace accrue::io
