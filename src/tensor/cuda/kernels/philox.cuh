// SPDX-License-Identifier: Apache-2.0

// Random words as in core/random.cpp.

using Key = unsigned long long;

struct Words {
  unsigned word[4];
};

/// Returns the words of Philox 4x32-10 (doi 10.1145/2063384.2063405).
__device__ inline Words philox(Key key, Key counter) {
  using Wide = unsigned long long;
  unsigned key0 = static_cast<unsigned>(key);
  unsigned key1 = static_cast<unsigned>(key >> 32);
  unsigned c0 = static_cast<unsigned>(counter);
  unsigned c1 = static_cast<unsigned>(counter >> 32);
  unsigned c2 = 0;
  unsigned c3 = 0;
  for (int round = 0; round < 10; ++round) {
    Wide p0 = static_cast<Wide>(0xD2511F53U) * c0;
    Wide p1 = static_cast<Wide>(0xCD9E8D57U) * c2;
    c0 = static_cast<unsigned>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<unsigned>(p1);
    c2 = static_cast<unsigned>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<unsigned>(p0);
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return {{c0, c1, c2, c3}};
}

/// Mixes 64-bit words into a 64-bit key.
__device__ inline Key mix(Key a, Key b) {
  Key z = a + 0x9E3779B97F4A7C15ULL * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

/// Returns the sample that has a token. Samples may be empty.
__device__ inline int sample_of(const int* offsets, int samples, ll token) {
  int low = 0; // offsets[low] <= token
  int high = samples; // token < offsets[high]
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (offsets[middle] <= token) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}
