// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

// Functions that the benchmarks against LibTorch share.

using Work = std::function<void()>;

inline double seconds(const Work& work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

/// Prints the head of a table whose rows compare() prints.
inline void print_head(const std::string& what) {
  fmt::print(
      "{} threads; milliseconds; last column: LibTorch's time over ours\n\n"
      "| {} | ours | LibTorch | ratio |\n|---|---|---|---|\n",
      at::get_num_threads(),
      what);
}

/// Prints one row: `ours` against `other`, measured in turns.
inline void compare(
    const std::string& what,
    const Work& ours,
    const Work& other) {
  constexpr int kRounds = 15;
  std::vector<double> a;
  std::vector<double> b;
  for (int round = 0; round <= kRounds; ++round) {
    double first = seconds(ours);
    double second = seconds(other);
    if (round > 0) { // the first is a warm-up
      a.push_back(first);
      b.push_back(second);
    }
  }
  std::nth_element(a.begin(), a.begin() + kRounds / 2, a.end());
  std::nth_element(b.begin(), b.begin() + kRounds / 2, b.end());
  double x = a[kRounds / 2] * 1e3;
  double y = b[kRounds / 2] * 1e3;
  fmt::print(
      "| {:<52} | {:>8.3f} | {:>8.3f} | {:>5.2f} |\n", what, x, y, y / x);
}

/// Offsets of samples of one length.
inline std::vector<int64_t> offsets_of(int64_t samples, int64_t length) {
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i <= samples; ++i) {
    offsets.push_back(i * length);
  }
  return offsets;
}

inline std::vector<uint64_t> ids_of(int64_t samples) {
  std::vector<uint64_t> ids(static_cast<size_t>(samples));
  std::iota(ids.begin(), ids.end(), uint64_t{0});
  return ids;
}
