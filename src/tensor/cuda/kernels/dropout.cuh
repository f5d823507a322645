// SPDX-License-Identifier: Apache-2.0

/// Computes y = base + mask · scale · x; a null base is 0, and y may be x or
/// base. Rows are those from first_row on of a micro-batch whose samples have
/// tokens [offsets[s], offsets[s + 1]); an element is dropped whose random word
/// is below `threshold`. A block computes a row.
KERNEL(dropout)
(const float* x,
 ll x_stride,
 const float* base,
 ll base_stride,
 Element* y,
 ll y_stride,
 const int* offsets,
 const Key* sample_ids,
 int samples,
 ll first_row,
 Key step_key,
 Key site,
 Key threshold,
 float scale,
 int width) {
  const ll row = blockIdx.x;
  const int sample = sample_of(offsets, samples, first_row + row);
  const Key key = mix(step_key, mix(sample_ids[sample], site));
  // Elements of the sample. Word i % 4 of counter i / 4 is that of element i.
  const ll begin = (first_row + row - offsets[sample]) * width;
  const ll end = begin + width;
  for (ll counter = begin / 4 + thread(); 4 * counter < end;
       counter += threads()) {
    const Words words = philox(key, static_cast<Key>(counter));
    for (int j = 0; j < 4; ++j) {
      const ll c = 4 * counter + j - begin;
      if (c < 0 || c >= width) {
        continue;
      }
      float rest = base != nullptr ? base[row * base_stride + c] : 0;
      y[row * y_stride + c] = round_to<Element>(
          words.word[j] < threshold ? rest
                                    : fmaf(x[row * x_stride + c], scale, rest));
    }
  }
}
