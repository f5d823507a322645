// SPDX-License-Identifier: Apache-2.0

/// Computes weight · cross-entropy of each row of logits, rounded to a multiple
/// of 2⁻²⁴, and, with `gradient`, replaces the row by its gradient. A target
/// outside the vocabulary gives NaN unless its weight is 0. A block computes a
/// row.
KERNEL(cross_entropy)
(Element* logits,
 ll stride,
 int vocab,
 const ll* targets,
 const double* weights,
 double* losses,
 int gradient) {
  const ll row = blockIdx.x;
  logits += row * stride;
  const double weight = weights[row];
  if (weight == 0) {
    for (int j = thread(); gradient && j < vocab; j += threads()) {
      logits[j] = round_to<Element>(0);
    }
    if (thread() == 0) {
      losses[row] = 0;
    }
    return;
  }
  const ll target = targets[row];
  const float target_logit = target >= 0 && target < vocab
      ? widen(logits[target])
      : __uint_as_float(0x7fc00000);
  float max = __uint_as_float(0xff800000); // -infinity
  for (int j = thread(); j < vocab; j += threads()) {
    max = Max{}(widen(logits[j]), max);
  }
  max = block_max(max);
  float total = 0;
  for (int j = thread(); j < vocab; j += threads()) {
    total += exponential(widen(logits[j]) - max);
  }
  total = block_sum(total);
  if (thread() == 0) {
    float log_total = static_cast<float>(log(static_cast<double>(total)));
    float loss = log_total - (target_logit - max);
    losses[row] = rint(loss * weight * 16777216) / 16777216;
  }
  if (gradient) {
    const float w = static_cast<float>(weight);
    const float factor = w / total;
    for (int j = thread(); j < vocab; j += threads()) {
      float e = exponential(widen(logits[j]) - max);
      logits[j] =
          round_to<Element>(j == target ? fmaf(factor, e, -w) : factor * e);
    }
  }
}
