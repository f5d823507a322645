// SPDX-License-Identifier: Apache-2.0
#include "accrue/core/random.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

#include "core/functions.h"
#include "core/philox.h"

namespace accrue {
namespace {

constexpr int kFeistelRounds = 4;

uint32_t low(uint64_t x) {
  return static_cast<uint32_t>(x);
}

uint32_t high(uint64_t x) {
  return static_cast<uint32_t>(x >> 32);
}

double unit_interval(uint32_t a, uint32_t b) {
  uint64_t word = (uint64_t{a} << 32 | b) >> 11;
  return static_cast<double>(word) * 0x1p-53;
}

} // namespace

std::array<uint32_t, 4> philox(
    std::array<uint32_t, 2> key,
    std::array<uint32_t, 4> counter) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    uint64_t p0 = uint64_t{kPhiloxMultiplier0} * counter[0];
    uint64_t p1 = uint64_t{kPhiloxMultiplier1} * counter[2];
    counter = {
        high(p1) ^ counter[1] ^ key[0],
        low(p1),
        high(p0) ^ counter[3] ^ key[1],
        low(p0)};
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
  return counter;
}

uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9E3779B97F4A7C15 * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

std::array<uint32_t, 4> CounterRandom::bits(uint64_t index) const {
  return philox({low(key_), high(key_)}, {low(index), high(index), 0, 0});
}

std::array<double, 2> CounterRandom::normal(uint64_t index) const {
  auto w = bits(index);
  // 1 - u is in (0, 1], so the logarithm is finite.
  double radius = std::sqrt(-2 * logarithm(1 - unit_interval(w[0], w[1])));
  double angle = 2 * std::numbers::pi * unit_interval(w[2], w[3]);
  auto [cosine, sine] = cosine_and_sine(angle);
  return {radius * cosine, radius * sine};
}

double CounterRandom::uniform(uint64_t index) const {
  auto w = bits(index);
  return unit_interval(w[0], w[1]);
}

Permutation::Permutation(uint64_t size, uint64_t key)
    : size_(size),
      key_(key),
      half_bits_(
          static_cast<unsigned>(std::bit_width(size > 1 ? size - 1 : 1) + 1) /
          2) {}

uint64_t Permutation::operator()(uint64_t position) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t x = position;
  do {
    uint64_t left = x >> half_bits_;
    uint64_t right = x & mask;
    for (uint32_t round = 0; round < kFeistelRounds; ++round) {
      auto word =
          philox({low(key_), high(key_)}, {low(right), high(right), round, 1});
      uint64_t f = (uint64_t{word[0]} << 32 | word[1]) & mask;
      left = std::exchange(right, left ^ f);
    }
    x = left << half_bits_ | right;
  } while (x >= size_);
  return x;
}

} // namespace accrue
