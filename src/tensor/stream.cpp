// SPDX-License-Identifier: Apache-2.0
#include "tensor/stream.h"

#include <algorithm>

namespace accrue::tensor {
namespace {

constexpr int64_t kPieceTokens = 32; // divides every segment_limit

/// Appends tokens that start with a segment.
void append(Chunk& chunk, int64_t tokens, int64_t segment) {
  auto split = [&](std::vector<int64_t>& ends, int64_t limit) {
    for (int64_t done = 0; done < tokens;) {
      done = std::min(done + limit, tokens);
      ends.push_back(chunk.size() + done);
    }
  };
  split(chunk.segments, segment);
  split(chunk.pieces, kPieceTokens);
  chunk.end += tokens;
}

} // namespace

std::vector<Chunk> sample_chunks(
    std::span<const int64_t> offsets,
    Type compute,
    int64_t tokens) {
  std::vector<Chunk> chunks;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    int64_t length = offsets[s + 1] - offsets[s];
    auto sample = static_cast<int64_t>(s);
    if (chunks.empty() || chunks.back().size() + length > tokens) {
      chunks.push_back(
          {.begin = offsets[s], .end = offsets[s], .first_sample = sample});
    }
    append(chunks.back(), length, segment_limit(compute));
    chunks.back().last_sample = sample + 1;
  }
  return chunks;
}

std::vector<Chunk> segment_chunks(
    std::span<const int64_t> offsets,
    Type compute,
    int64_t tokens) {
  std::vector<Chunk> chunks;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    int64_t limit = segment_limit(compute);
    for (int64_t at = offsets[s]; at < offsets[s + 1]; at += limit) {
      int64_t length = std::min(limit, offsets[s + 1] - at);
      if (chunks.empty() || chunks.back().size() + length > tokens) {
        chunks.push_back({.begin = at, .end = at});
      }
      append(chunks.back(), length, limit);
    }
  }
  return chunks;
}

} // namespace accrue::tensor
