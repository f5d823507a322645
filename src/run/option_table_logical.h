// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "run/option_row.h"
#include "run/option_table_data.h"
#include "run/options.h"

// Rows of run/option_table.h: the settings that decide the result of a run.

namespace accrue {

template <class Options, class Visitor>
void visit_samples(Options& o, Visitor&& v) {
  v({.name = "seq-len",
     .value = "T",
     .help = "target tokens of the longest sample (default: the model's "
             "positions, at most 1024)",
     .bound = at_least(1)},
    o.seq_len);
  v({.name = "packing",
     .help = "on: cut samples from the documents laid end to end; documents: "
             "the same, but attention and positions end with a document; off: "
             "no sample crosses a document, lengths differ"},
    o.packing);
  v({.name = "valid",
     .value = "PATH",
     .help = "validation text",
     .excludes = "valid-fraction"},
    o.valid);
  v({.name = "valid-fraction",
     .value = "X",
     .help = "hold back this share of the samples, from all over the data, for "
             "validation",
     .bound = between(0, 1)},
    o.valid_fraction);
  v({.name = "global-batch",
     .value = "N",
     .help = "samples per optimizer step: the logical batch (REQUIRED, or the "
             "next flag)",
     .bound = at_least(1),
     .excludes = "global-batch-tokens"},
    o.global_batch);
  v({.name = "global-batch-tokens",
     .value = "N",
     .help = "tokens per optimizer step; rounded down to whole samples of "
             "--seq-len",
     .bound = at_least(1)},
    o.global_batch_tokens);
}

template <class Options, class Visitor>
void visit_optimizer(Options& o, Visitor&& v) {
  v({.name = "optimizer", .help = "optimizer"}, o.optimizer);
  v({.name = "lr",
     .value = "X",
     .help = "peak learning rate",
     .bound = finite()},
    o.lr);
  v({.name = "min-lr",
     .value = "X",
     .help = "learning rate at the end of a decaying schedule",
     .bound = finite()},
    o.min_lr);
  v({.name = "schedule", .help = "learning rate over optimizer steps"},
    o.schedule);
  v({.name = "warmup-steps",
     .value = "N",
     .help = "optimizer steps of linear warm-up from 0",
     .bound = at_least(0)},
    o.warmup_steps);
  v({.name = "weight-decay",
     .value = "X",
     .help = "decoupled weight decay; not on biases and norms",
     .bound = finite()},
    o.weight_decay);
  v({.name = "beta1",
     .value = "X",
     .help = "AdamW's decay of the gradient average",
     .bound = from_to_below(0, 1)},
    o.beta1);
  v({.name = "beta2",
     .value = "X",
     .help = "AdamW's decay of the squared average",
     .bound = from_to_below(0, 1)},
    o.beta2);
  v({.name = "eps", .value = "X", .help = "AdamW's epsilon", .bound = finite()},
    o.eps);
  v({.name = "momentum",
     .value = "X",
     .help = "SGD's momentum",
     .bound = from_to_below(0, 1)},
    o.momentum);
  v({.name = "clip-norm",
     .value = "X",
     .help = "largest global gradient norm, applied once per window; 0 = off",
     .bound = finite()},
    o.clip_norm);
}

template <class Options, class Visitor>
void visit_numerics(Options& o, Visitor&& v) {
  v({.name = "dropout",
     .value = "P",
     .help = "probability on embeddings and residual branches; the mask of a "
             "sample does not depend on the split",
     .bound = from_to_below(0, 1)},
    o.dropout);
  v({.name = "seed",
     .value = "N",
     .help = "initial weights, sample order and dropout",
     .bound = at_least(0)},
    o.seed);
  v({.name = "dtype",
     .help = "matrix work; bf16 keeps weights and sums in fp32"},
    o.dtype);
  v({.name = "shards",
     .value = "S",
     .help = "fixed slices of the global batch; only 1 so far"},
    o.shards);
  v({.name = "grain-tokens",
     .value = "N",
     .help =
         "on a GPU: consecutive samples of up to N tokens whose gradients "
         "are summed in one call and never split; a micro-batch holds whole "
         "grains (default: 2048; on a CPU a grain is one sample)",
     .bound = at_least(1)},
    o.grain_tokens);
  v({.name = "on-nonfinite",
     .help = "NaN or infinite loss or gradient: stop, or leave the micro-batch "
             "out"},
    o.on_nonfinite);
}

/// Calls v(row, field) for each setting that decides the result of a run. They
/// may not change at --resume.
template <class Options, class Visitor>
void visit_logical(Options& o, Visitor&& v) {
  visit_data(o, v);
  visit_adapters(o, v);
  visit_samples(o, v);
  visit_optimizer(o, v);
  visit_numerics(o, v);
}

} // namespace accrue
