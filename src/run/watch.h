// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "report/metrics.h"

namespace accrue {

/// Where a quantity is expected next, from its last steps: around the median of
/// the newest few, as far as it has strayed from such medians before. Medians,
/// so that one outlier neither moves the band nor widens it.
class Band {
 public:
  struct Bounds {
    double low = 0;
    double high = 0;
  };

  /// No narrower than `least` to either side of the middle, or `least_share` of
  /// its size.
  Band(double least, double least_share)
      : least_(least), least_share_(least_share) {}

  /// None before there are enough steps to tell.
  std::optional<Bounds> bounds() const;

  void add(double value);

 private:
  double least_;
  double least_share_;
  std::deque<double> values_; // the newest few
  std::deque<double> strayed_; // |value - median of those before it|
};

/// Notices steps whose loss, gradient norm or reward margin leave their bands:
/// signs of a bad sample, a learning rate too high, or a model that does what
/// nobody intended. A pure function of the metrics so far.
class Watch {
 public:
  /// What left its band at this step, and did not at the one before: "the loss
  /// is 8.13, expected 2.9 to 3.4".
  std::vector<std::string> look(const report::StepMetrics& metrics);

 private:
  struct Quantity {
    Band band;
    bool outside = false;
  };
  Quantity loss_{Band(0.02, 0.02)};
  Quantity grad_norm_{Band(1.0, 0)}; // its logarithm: a factor of e
  Quantity margin_{Band(0.1, 0.1)};
};

} // namespace accrue
