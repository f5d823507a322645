// SPDX-License-Identifier: Apache-2.0

// Prints a digest of what every kernel makes of fixed inputs, for every
// instruction set that this CPU has, and fails unless all sets that fuse
// multiplication and addition agree with the file of digests named on the
// command line (docs/bits.md). Needs no LibTorch, so that it can be compiled
// for another CPU and run by an emulator (./dev test-arm).
//
//   kernel_bits DIGESTS            compare
//   kernel_bits DIGESTS --update   write the file, from the best set

#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "accrue/core/random.h"
#include "core/functions.h"
#include "inputs.h"
#include "products.h"
#include "tensor/cpu/kernels.h"

namespace {

using namespace accrue::kernel_bits;
using namespace accrue::tensor;

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

void activations(const Kernels& kernels, int64_t count, Digest& digest) {
  std::vector<float> gate = scaled(uniform(8, count), 12);
  std::vector<float> up = uniform(9, count);
  std::vector<float> dy = uniform(10, count);
  std::vector<uint16_t> low_gate = bf16(gate);
  std::vector<uint16_t> low_up = bf16(up);
  for (Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kSilu}) {
    for (bool gated : {false, true}) {
      std::vector<float> y(gate.size());
      std::vector<float> dgate(gate.size());
      std::vector<float> dx(gate.size());
      std::vector<uint16_t> low_y(gate.size());
      const float* g = gated ? gate.data() : nullptr;
      const uint16_t* low_g = gated ? low_gate.data() : nullptr;
      const float* x = gated ? up.data() : gate.data();
      const uint16_t* low_x = gated ? low_up.data() : low_gate.data();
      const ActivationRange range{
          .activation = activation,
          .type = Type::kF32,
          .count = count,
          .gate = g,
          .x = x,
          .y = y.data()};
      const ActivationRange low_range{
          .activation = activation,
          .type = Type::kBf16,
          .count = count,
          .gate = low_g,
          .x = low_x,
          .y = low_y.data()};
      const ActivationGradients gradients{
          .dy = dy.data(), .dgate = dgate.data(), .dx = dx.data()};
      kernels.activate(range);
      digest.add(y);
      kernels.activate(low_range);
      digest.add(low_y);
      kernels.activate_backward(range, gradients);
      for (const auto& values : {y, dgate, dx}) {
        digest.add(values);
      }
      kernels.activate_backward(low_range, gradients);
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
      {.type = Type::kBf16,
       .rows = kRows,
       .columns = columns,
       .o = out.data(),
       .o_stride = columns,
       .d = dp.data(),
       .d_stride = columns,
       .products = delta.data()});
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
       .scale = 1.1,
       .x = x.data(),
       .base = base.data(),
       .y = y.data()});
  digest.add(y);
  std::vector<float> sums(static_cast<size_t>(width));
  kernels.sum_rows(
      {.rows = kRows,
       .width = width,
       .x = x.data(),
       .stride = width,
       .sums = sums.data()});
  digest.add(sums);
  digest.add(
      std::vector<double>{kernels.sum_squares(Type::kF32, count, x.data())});
  const int64_t dim = width / 2 * 2;
  const std::vector<int64_t> positions = {0, 8, 3, 3, 1};
  std::vector<float> cosines = uniform(17, 9 * dim / 2);
  std::vector<float> sines = uniform(18, 9 * dim / 2);
  std::vector<uint16_t> low = bf16(x);
  for (bool inverse : {false, true}) {
    auto rotate = [&](Type type, void* rows) {
      kernels.rotate(
          {.type = type,
           .rows = kRows,
           .heads = 1,
           .dim = dim,
           .stride = width,
           .positions = positions.data(),
           .cos = cosines.data(),
           .sin = sines.data(),
           .inverse = inverse,
           .x = rows});
    };
    rotate(Type::kF32, x.data());
    rotate(Type::kBf16, low.data());
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
        {.count = count,
         .gradient = base.data(),
         .parameter = x.data(),
         .average = average.data(),
         .square_average = square.data()});
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
