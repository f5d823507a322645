// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace accrue::fuzz {

/// Puts the input into a file and returns its path: parsers read files.
inline std::string write_input(
    const uint8_t* data,
    size_t size,
    const char* name) {
  static const std::string folder = [] {
    std::string pattern = "/dev/shm/accrue-fuzz-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) {
      std::abort();
    }
    return pattern;
  }();
  std::string path = folder + "/" + name;
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr || std::fwrite(data, 1, size, file) != size) {
    std::abort();
  }
  std::fclose(file);
  return path;
}

} // namespace accrue::fuzz
