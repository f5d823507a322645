// Prints a digest of what every kernel makes of fixed inputs, for every
// instruction set that this CPU has, and fails unless all sets that fuse
// multiplication and addition agree with the file of digests named on the
// command line (docs/bits.md). Needs no LibTorch, so that it can be compiled
// for another CPU and run by an emulator (./dev test-arm).
//
//   kernel_bits DIGESTS            compare
//   kernel_bits DIGESTS --update   write the file, from the best set

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "accrue/core/random.h"
#include "core/functions.h"
#include "tensor/kernels.h"

namespace {

using namespace accrue::tensor;

/// FNV-1a over values; all NaN are one.
class Digest {
 public:
  template <class T>
  void add(const std::vector<T>& values) {
    for (T value : values) {
      if (value != value) {
        value = std::numeric_limits<T>::quiet_NaN();
      }
      unsigned char bytes[sizeof(T)];
      std::memcpy(bytes, &value, sizeof(T));
      for (unsigned char byte : bytes) {
        hash_ = (hash_ ^ byte) * 0x100000001b3;
      }
    }
  }
  uint64_t value() const {
    return hash_;
  }

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

/// Values in [-1, 1), the same on every machine.
std::vector<float> uniform(uint64_t key, int64_t count) {
  accrue::CounterRandom random(key);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(
        static_cast<float>(2 * random.uniform(static_cast<uint64_t>(i)) - 1));
  }
  return values;
}

/// Bit patterns of every exponent up to 2^`most`, denormals among them.
std::vector<float> every_exponent(uint64_t key, int64_t count, uint32_t most) {
  accrue::CounterRandom random(key);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    auto words = random.bits(static_cast<uint64_t>(i));
    uint32_t exponent = words[1] % 4 == 0 ? 0 : words[2] % (127 + most);
    uint32_t bits = (words[0] & 0x807fffffU) | exponent << 23;
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(value);
  }
  return values;
}

std::vector<uint16_t> bf16(const std::vector<float>& values) {
  std::vector<uint16_t> halves;
  for (float value : values) { // truncated: any bf16 will do
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    halves.push_back(static_cast<uint16_t>(bits >> 16));
  }
  return halves;
}

struct Shape {
  int64_t m, n, k;
};
constexpr Shape kShapes[] = {
    {1, 1, 1},
    {7, 50, 33},
    {6, 48, 256},
    {67, 64, 300},
    {13, 257, 1030},
    {130, 777, 40}};

/// Products in every layout, from fp32 and bf16 in memory, with and without a
/// bias, folded in segments, into fp32 and bf16.
void products(
    const Kernels& kernels,
    Type compute,
    bool extreme,
    Digest& digest) {
  for (const Shape& s : kShapes) {
    for (int layout = 0; layout < 8; ++layout) {
      const bool narrow = layout >= 4;
      auto make = [&](uint64_t key, int64_t count) {
        return extreme ? every_exponent(key, count, 60) : uniform(key, count);
      };
      std::vector<float> a = make(1, s.m * s.k);
      std::vector<float> b = make(2, s.k * s.n);
      std::vector<float> bias = make(3, s.n);
      std::vector<uint16_t> low_a = bf16(a);
      std::vector<uint16_t> low_b = bf16(b);
      std::vector<float> c(static_cast<size_t>(s.m * s.n));
      auto matrix = [&](const void* wide,
                        const void* low,
                        int64_t rows,
                        int64_t columns,
                        bool transposed) {
        Matrix m{
            narrow ? low : wide,
            narrow ? Type::kBf16 : Type::kF32,
            transposed ? rows : columns,
            1};
        return transposed ? m.transposed() : m;
      };
      Gemm gemm;
      gemm.m = s.m;
      gemm.n = s.n;
      gemm.k = s.k;
      gemm.compute = compute;
      gemm.a = matrix(a.data(), low_a.data(), s.m, s.k, (layout & 1) != 0);
      gemm.b = matrix(b.data(), low_b.data(), s.k, s.n, (layout & 2) != 0);
      gemm.c = c.data();
      gemm.c_stride = s.n;
      gemm.bias = bias.data();
      kernels.gemm(gemm);
      digest.add(c);
      std::vector<char> packed(kernels.packed_bytes(s.k, s.n, compute));
      kernels.pack(s.k, s.n, compute, gemm.b, packed.data());
      std::vector<float> again(c.size());
      gemm.packed_b = packed.data();
      gemm.c = again.data();
      kernels.gemm(gemm);
      digest.add(again);
      gemm.packed_b = nullptr;
      gemm.c = c.data();
      std::vector<int64_t> ends;
      for (int64_t end = 0, length = 1; end < s.k; ++length) {
        end = std::min(end + length, s.k);
        ends.push_back(end);
      }
      gemm.bias = nullptr;
      gemm.add = true;
      gemm.segments = ends;
      kernels.gemm(gemm);
      digest.add(c);
      if (compute == Type::kBf16) {
        std::vector<uint16_t> out(c.size());
        gemm.add = false;
        gemm.segments = {};
        gemm.c = out.data();
        gemm.c_type = Type::kBf16;
        kernels.gemm(gemm);
        digest.add(out);
      }
    }
  }
}

constexpr int64_t kRows = 5;

void norms(const Kernels& kernels, int64_t width, Digest& digest) {
  std::vector<float> x = uniform(4, kRows * width);
  std::vector<float> weight = uniform(5, width);
  std::vector<float> bias = uniform(6, width);
  std::vector<float> dy = uniform(7, kRows * width);
  for (bool layer : {true, false}) {
    std::vector<float> mean(kRows);
    std::vector<float> rstd(kRows);
    std::vector<float> y(x.size());
    std::vector<float> dx(x.size(), 0.25F);
    std::vector<float> sums(static_cast<size_t>(2 * width));
    NormRows rows{
        .rows = kRows,
        .width = width,
        .x = x.data(),
        .weight = weight.data(),
        .bias = layer ? bias.data() : nullptr,
        .epsilon = 1e-5,
        .mean = mean.data(),
        .rstd = rstd.data()};
    kernels.norm(rows, y.data());
    kernels.norm_backward(rows, dy.data(), dx.data(), sums.data());
    for (const auto& values : {mean, rstd, y, dx, sums}) {
      digest.add(values);
    }
  }
}

std::vector<float> scaled(std::vector<float> values, float factor) {
  for (float& value : values) {
    value *= factor;
  }
  return values;
}

void activations(const Kernels& kernels, int64_t count, Digest& digest) {
  std::vector<float> gate = scaled(uniform(8, count), 12);
  std::vector<float> up = uniform(9, count);
  std::vector<float> dy = uniform(10, count);
  std::vector<uint16_t> low_gate = bf16(gate);
  std::vector<uint16_t> low_up = bf16(up);
  for (Curve curve : {Curve::kGelu, Curve::kGeluTanh, Curve::kSilu}) {
    for (bool gated : {false, true}) {
      std::vector<float> y(gate.size());
      std::vector<float> dgate(gate.size());
      std::vector<float> dx(gate.size());
      std::vector<uint16_t> low_y(gate.size());
      const float* g = gated ? gate.data() : nullptr;
      const uint16_t* low_g = gated ? low_gate.data() : nullptr;
      const float* x = gated ? up.data() : gate.data();
      const uint16_t* low_x = gated ? low_up.data() : low_gate.data();
      kernels.activate(curve, Type::kF32, count, g, x, y.data());
      digest.add(y);
      kernels.activate(curve, Type::kBf16, count, low_g, low_x, low_y.data());
      digest.add(low_y);
      kernels.activate_backward(
          curve,
          Type::kF32,
          count,
          g,
          x,
          dy.data(),
          y.data(),
          dgate.data(),
          dx.data());
      for (const auto& values : {y, dgate, dx}) {
        digest.add(values);
      }
      kernels.activate_backward(
          curve,
          Type::kBf16,
          count,
          low_g,
          low_x,
          dy.data(),
          low_y.data(),
          dgate.data(),
          dx.data());
      digest.add(low_y);
      digest.add(dgate);
      digest.add(dx);
    }
  }
}

void scores(const Kernels& kernels, int64_t length, Digest& digest) {
  const int64_t columns = length + kRows;
  std::vector<float> s = scaled(uniform(11, kRows * columns), 30);
  std::vector<float> again = s;
  std::vector<float> dp = uniform(12, kRows * columns);
  std::vector<float> sums(kRows);
  std::vector<float> delta(kRows);
  std::vector<uint16_t> out = bf16(uniform(13, kRows * columns));
  kernels.row_products(
      Type::kBf16,
      kRows,
      columns,
      out.data(),
      columns,
      dp.data(),
      columns,
      delta.data());
  digest.add(delta);
  ScoreRows rows{
      .rows = kRows,
      .columns = columns,
      .stride = columns,
      .length = length,
      .scale = 0.125,
      .scores = s.data(),
      .logsumexp = sums.data()};
  kernels.softmax(rows);
  rows.scores = again.data();
  kernels.softmax_backward(rows, delta.data(), dp.data());
  for (const auto& values : {s, sums, again, dp}) {
    digest.add(values);
  }
}

void losses(const Kernels& kernels, int64_t vocab, Digest& digest) {
  const std::vector<int64_t> targets = {0, 1, vocab / 2, vocab - 1, 0};
  const std::vector<double> weights = {1, 0, 1, 0.5, 2};
  for (Type type : {Type::kF32, Type::kBf16}) {
    std::vector<float> logits = scaled(uniform(14, kRows * vocab), 9);
    std::vector<double> got(kRows);
    kernels.loss(
        {.rows = kRows,
         .vocab = vocab,
         .logits = logits.data(),
         .gradient_type = type,
         .targets = targets.data(),
         .weights = weights.data(),
         .losses = got.data(),
         .gradient = true});
    digest.add(got);
    digest.add(logits);
  }
}

void others(const Kernels& kernels, int64_t width, Digest& digest) {
  const int64_t count = kRows * width;
  std::vector<float> x = uniform(15, count);
  std::vector<float> base = uniform(16, count);
  std::vector<float> y(x.size());
  kernels.dropout(
      {.key = 7,
       .first = 3,
       .count = count,
       .threshold = 1U << 30,
       .scale = 1.1},
      Type::kF32,
      x.data(),
      base.data(),
      y.data());
  digest.add(y);
  std::vector<float> sums(static_cast<size_t>(width));
  kernels.sum_rows(Type::kF32, kRows, width, x.data(), width, sums.data());
  digest.add(sums);
  digest.add(
      std::vector<double>{kernels.sum_squares(Type::kF32, count, x.data())});
  const int64_t dim = width / 2 * 2;
  const std::vector<int64_t> positions = {0, 8, 3, 3, 1};
  std::vector<float> cosines = uniform(17, 9 * dim / 2);
  std::vector<float> sines = uniform(18, 9 * dim / 2);
  std::vector<uint16_t> low = bf16(x);
  for (bool back : {false, true}) {
    auto turn = [&](Type type, void* rows) {
      kernels.rotate(
          type,
          kRows,
          1,
          dim,
          width,
          positions.data(),
          cosines.data(),
          sines.data(),
          back,
          rows);
    };
    turn(Type::kF32, x.data());
    turn(Type::kBf16, low.data());
    digest.add(x);
    digest.add(low);
  }
  std::vector<float> average = uniform(19, count);
  std::vector<float> square(x.size(), 0.5F);
  for (int i = 1; i <= 3; ++i) {
    kernels.adamw(
        {.lr = 1e-3,
         .beta1 = 0.9,
         .beta2 = 0.999,
         .eps = 1e-8,
         .weight_decay = 0.1,
         .correction1 = 1 - accrue::integer_power(0.9, i),
         .correction2 = 1 - accrue::integer_power(0.999, i)},
        Type::kF32,
        count,
        base.data(),
        x.data(),
        average.data(),
        square.data());
  }
  for (const auto& values : {x, average, square}) {
    digest.add(values);
  }
}

/// Initial weights, schedules and rotary tables come from these.
void functions(Digest& digest) {
  std::vector<double> values;
  for (uint64_t i = 0; i < 2000; ++i) {
    accrue::CounterRandom random(21);
    for (double value : random.normal(i)) {
      values.push_back(value);
    }
    double u = random.uniform(i);
    values.push_back(accrue::exponential(1400 * u - 700));
    values.push_back(accrue::logarithm_plus_one(u * u * u));
    values.push_back(accrue::power(10'000, u));
    values.push_back(accrue::cosine_and_sine(1e6 * u).sine);
  }
  digest.add(values);
}

using Digests = std::map<std::string, std::string>;

Digests digests_of(const Kernels& kernels) {
  Digests digests;
  auto take = [&](const std::string& name, const auto& run) {
    Digest digest;
    run(digest);
    char text[17];
    std::snprintf(
        text,
        sizeof text,
        "%016llx",
        static_cast<unsigned long long>(digest.value()));
    digests[name] = text;
  };
  auto product = [&](Type compute, bool extreme) {
    return [&kernels, compute, extreme](Digest& digest) {
      products(kernels, compute, extreme, digest);
    };
  };
  auto widths = [&](auto run) {
    return [&kernels, run](Digest& digest) {
      for (int64_t width : {1, 15, 16, 33, 100, 768}) {
        run(kernels, width, digest);
      }
    };
  };
  take("products_fp32", product(Type::kF32, false));
  take("products_bf16", product(Type::kBf16, false));
  take("products_fp32_every_exponent", product(Type::kF32, true));
  take("products_bf16_every_exponent", product(Type::kBf16, true));
  take("norms", widths(norms));
  take("activations", widths(activations));
  take("scores", widths(scores));
  take("losses", widths(losses));
  take("others", widths(others));
  take("functions", functions);
  return digests;
}

Digests read(const char* path) {
  Digests digests;
  std::ifstream file(path);
  for (std::string name, digest; file >> name >> digest;) {
    digests[name] = digest;
  }
  return digests;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: kernel_bits DIGESTS [--update]\n");
    return 2;
  }
  if (argc > 2 && std::string_view(argv[2]) == "--update") {
    const InstructionSet& best = instruction_sets().front();
    if (!best.fused_multiply_add) {
      std::fprintf(stderr, "this CPU has no fused multiply-add\n");
      return 1;
    }
    std::ofstream file(argv[1]);
    for (const auto& [name, digest] : digests_of(*best.kernels)) {
      file << name << ' ' << digest << '\n';
    }
    return 0;
  }
  const Digests want = read(argv[1]);
  int wrong = want.empty() ? 1 : 0;
  for (const InstructionSet& set : instruction_sets()) {
    const Digests got = digests_of(*set.kernels);
    wrong += got.size() != want.size() ? 1 : 0;
    for (const auto& [name, digest] : got) {
      auto it = want.find(name);
      bool equal = it != want.end() && it->second == digest;
      std::printf(
          "%-10s %-28s %s%s\n",
          set.name,
          name.c_str(),
          digest.c_str(),
          equal                        ? ""
              : set.fused_multiply_add ? "  DIFFERS"
                                       : "  (no fused multiply-add)");
      wrong += !equal && set.fused_multiply_add ? 1 : 0;
      // Control: rounding twice must show.
      if (!set.fused_multiply_add && name == "products_fp32" && equal) {
        std::printf("  CONTROL FAILED: should differ\n");
        ++wrong;
      }
    }
  }
  return wrong == 0 ? 0 : 1;
}
