// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "report/metrics.h"

namespace accrue {

/// Range in which a quantity is expected next: around the median of the newest
/// values, as wide as earlier values have strayed from such medians. Medians
/// are used so that one outlier neither moves nor widens the band.
class Band {
 public:
  struct Bounds {
    double low = 0;
    double high = 0;
  };

  /// The band reaches at least `least`, or `least_share` of the middle's size,
  /// to either side of the middle.
  Band(double least, double least_share)
      : least_(least), least_share_(least_share) {}

  /// Returns nullopt until there are enough steps.
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
  /// Names the quantities that left their bands at this step but not at the one
  /// before: "the loss is 8.13, expected 2.9 to 3.4".
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
