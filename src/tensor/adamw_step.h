// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace accrue::tensor {

/// Settings of one step of AdamW (arXiv 1711.05101).
struct AdamWStep {
  double lr = 0;
  double beta1 = 0;
  double beta2 = 0;
  double eps = 0;
  double weight_decay = 0;
  double correction1 = 1; // 1 - beta1^step
  double correction2 = 1; // 1 - beta2^step
};

} // namespace accrue::tensor
