// SPDX-License-Identifier: Apache-2.0
#include "kernel_support.h"

namespace accrue::tensor::cuda {
namespace {

template <class T>
class LossKernels : public testing::Test {};
TYPED_TEST_SUITE(LossKernels, ElementTypes);

constexpr int64_t kRows = 6;

template <class T>
struct Loss {
  explicit Loss(int vocab) : logits(kRows, vocab, 1) {
    for (int64_t r = 0; r < kRows; ++r) {
      for (int c = 0; c < vocab; ++c) {
        *logits.at(r, c) = from_double<T>(5 * logits(r, c) + 100);
      }
      targets.push_back(r * 37 % vocab);
    }
    targets[2] = -100; // has no weight
  }

  void run_rows(
      int64_t begin,
      int64_t end,
      bool gradient,
      unsigned threads = 64,
      emulator::Order order = emulator::Order::kForward) {
    launch(
        emulator::Emulator(emulator::all_kernels(), order),
        name_of<T>("cross_entropy").c_str(),
        Grid{static_cast<unsigned>(end - begin), 1, threads},
        logits.at(begin),
        logits.stride,
        static_cast<int>(logits.width),
        static_cast<const int64_t*>(targets.data() + begin),
        weights.data() + begin,
        losses.data() + begin,
        int{gradient});
  }

  Matrix<T> logits;
  std::vector<int64_t> targets;
  const std::vector<double> weights = {1, 0.3, 0, 2, 1e-3, 0.7};
  std::vector<double> losses = std::vector<double>(kRows, 99);
};

TYPED_TEST(LossKernels, AgreeWithFp64) {
  using T = TypeParam;
  for (int vocab : kWidths) {
    for (unsigned threads : {32U, 96U, 512U}) {
      Loss<T> loss(vocab);
      const auto before = loss.logits;
      loss.run_rows(0, kRows, true, threads);
      for (int64_t r = 0; r < kRows; ++r) {
        auto i = static_cast<size_t>(r);
        const double weight = loss.weights[i];
        double total = 0;
        for (int c = 0; c < vocab; ++c) {
          total += std::exp(before(r, c) - 100);
        }
        double expected = weight == 0
            ? 0
            : weight * (std::log(total) - (before(r, loss.targets[i]) - 100));
        EXPECT_NEAR(loss.losses[i], expected, 1e-5 * weight + 0x1p-25);
        EXPECT_EQ(loss.losses[i], std::rint(loss.losses[i] * 0x1p24) * 0x1p-24);
        for (int c = 0; c < vocab; ++c) {
          double p = std::exp(before(r, c) - 100) / total;
          expect_near(
              *loss.logits.at(r, c),
              weight * (p - (c == loss.targets[i] ? 1 : 0)),
              weight);
        }
      }
      EXPECT_TRUE(loss.logits.gaps_are_whole());
    }
  }
}

TYPED_TEST(LossKernels, LogitsStayWithoutGradient) {
  Loss<TypeParam> loss(130);
  const auto before = loss.logits;
  loss.run_rows(0, kRows, false);
  EXPECT_TRUE(same_bits(loss.logits.data, before.data));
  Loss<TypeParam> with_gradient(130);
  with_gradient.run_rows(0, kRows, true);
  EXPECT_TRUE(same_bits(loss.losses, with_gradient.losses));
}

TYPED_TEST(LossKernels, RowsDoNotDependOnOtherRows) {
  Loss<TypeParam> whole(768);
  Loss<TypeParam> parts(768);
  whole.run_rows(0, kRows, true);
  for (auto [begin, end] : {std::pair(0, 1), {1, 2}, {2, 6}}) {
    parts.run_rows(begin, end, true);
  }
  EXPECT_TRUE(same_bits(whole.losses, parts.losses));
  EXPECT_TRUE(same_bits(whole.logits.data, parts.logits.data));
}

TYPED_TEST(LossKernels, OrderOfThreadsDoesNotMatter) {
  Loss<TypeParam> forward(768);
  Loss<TypeParam> backward(768);
  forward.run_rows(0, kRows, true);
  backward.run_rows(0, kRows, true, 64, emulator::Order::kBackward);
  EXPECT_TRUE(same_bits(forward.losses, backward.losses));
  EXPECT_TRUE(same_bits(forward.logits.data, backward.logits.data));
}

TYPED_TEST(LossKernels, TargetOutsideTheVocabularyGivesNan) {
  Loss<TypeParam> loss(31);
  loss.targets[0] = 31;
  loss.targets[1] = -1;
  loss.run_rows(0, kRows, false);
  EXPECT_TRUE(std::isnan(loss.losses[0]));
  EXPECT_TRUE(std::isnan(loss.losses[1]));
  EXPECT_FALSE(std::isnan(loss.losses[3]));
}

} // namespace
} // namespace accrue::tensor::cuda
