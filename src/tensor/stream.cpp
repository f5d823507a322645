// SPDX-License-Identifier: Apache-2.0
#include "tensor/stream.h"

#include <algorithm>
#include <utility>

namespace accrue::tensor {
namespace {

constexpr int64_t kPieceTokens = 32; // divides every segment_limit

/// Samples whose sums over tokens are made together: one, or those of a grain.
struct Part {
  int64_t first_sample;
  int64_t last_sample;
  int64_t begin; // token
  int64_t end;
};

std::vector<Part> parts_of(const Stream& stream, const Cut& cut) {
  std::vector<Part> parts;
  auto append_part = [&](int64_t first, int64_t last) {
    parts.push_back(
        {first,
         last,
         stream.offsets[static_cast<size_t>(first)],
         stream.offsets[static_cast<size_t>(last)]});
  };
  if (!cut.by_sample && !stream.grains.empty()) {
    int64_t first = 0;
    for (int64_t end : stream.grains) {
      append_part(std::exchange(first, end), end);
    }
    return parts;
  }
  for (size_t i = 0; i + 1 < stream.offsets.size(); ++i) {
    const auto sample = static_cast<int64_t>(i);
    append_part(sample, sample + 1);
  }
  return parts;
}

/// Appends tokens that start with a segment.
void append(Chunk& chunk, int64_t tokens, int64_t segment) {
  auto split = [&](std::vector<int64_t>& ends, int64_t limit) {
    for (int64_t done = 0; done < tokens;) {
      done += std::min(limit, tokens - done);
      ends.push_back(chunk.size() + done);
    }
  };
  split(chunk.segments, segment);
  split(chunk.pieces, kPieceTokens);
  chunk.end += tokens;
}

} // namespace

Cut cut_by_sample(Type compute, int64_t chunk_tokens) {
  return {
      .by_sample = true,
      .chunk_tokens = chunk_tokens,
      .segment_tokens = segment_limit(compute),
      .head_chunk_tokens = chunk_tokens,
      .head_segment_tokens = segment_limit(compute)};
}

std::vector<Chunk> sample_chunks(const Stream& stream, const Cut& cut) {
  std::vector<Chunk> chunks;
  for (const Part& part : parts_of(stream, cut)) {
    const int64_t length = part.end - part.begin;
    if (chunks.empty() || chunks.back().size() + length > cut.chunk_tokens) {
      chunks.push_back(
          {.begin = part.begin,
           .end = part.begin,
           .first_sample = part.first_sample});
    }
    append(chunks.back(), length, cut.segment_tokens);
    chunks.back().last_sample = part.last_sample;
  }
  return chunks;
}

std::vector<Chunk> head_chunks(const Stream& stream, const Cut& cut) {
  std::vector<Chunk> chunks;
  const int64_t limit = cut.head_segment_tokens;
  for (const Part& part : parts_of(stream, cut)) {
    for (int64_t at = part.begin; at < part.end; at += limit) {
      const int64_t length = std::min(limit, part.end - at);
      if (chunks.empty() ||
          chunks.back().size() + length > cut.head_chunk_tokens) {
        chunks.push_back({.begin = at, .end = at});
      }
      append(chunks.back(), length, limit);
    }
  }
  return chunks;
}

} // namespace accrue::tensor
