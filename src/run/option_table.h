// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "run/option_row.h"
#include "run/option_table_logical.h"
#include "run/options.h"

// The table of all settings of a run. The command line, config.toml, --help,
// the checks of values and the comparison at --resume are made from it.

namespace accrue {

/// Rows of the length of a run.
template <class Options, class Visitor>
void visit_extent(Options& o, Visitor&& v) {
  v({.name = "steps",
     .value = "N",
     .help = "optimizer steps of the whole run",
     .bound = at_least(1),
     .excludes = "epochs"},
    o.steps);
  v({.name = "epochs",
     .value = "X",
     .help = "passes over the data; the last window may be short (default: 1, "
             "unless --steps is given)",
     .bound = between(0, 1e9)},
    o.epochs);
  v({.name = "patience",
     .value = "N",
     .help = "end after N evaluations in a row without a lower validation loss",
     .bound = at_least(1)},
    o.patience);
}

template <class Options, class Visitor>
void visit_resources(Options& o, Visitor&& v) {
  v({.name = "device",
     .value = "cpu|cuda|cuda:N",
     .help = "where the model is trained; cuda: the first GPU"},
    o.device);
  v({.name = "micro-batch",
     .value = "N",
     .help = "samples that go through the model at once (default: planned)",
     .bound = at_least(1),
     .replaces = "memory"},
    o.micro_batch);
  v({.name = "memory",
     .value = "SIZE",
     .help = "most memory the process may take, e.g. 2GiB (default: 80 % of "
             "what the machine, or its control group, has free); with "
             "--device cuda of the GPU's memory (default: 90 %)"},
    o.memory);
  v({.name = "checkpointing",
     .help = "recompute activations in the backward pass: less memory, "
             "more time, the same bits; auto: where memory makes it the better "
             "choice"},
    o.checkpointing);
  v({.name = "threads",
     .value = "N",
     .help = "CPU threads; 0 = OMP_NUM_THREADS, or all cores that the affinity "
             "mask and the CPU quota of the control group leave",
     .bound = at_least(0)},
    o.threads);
}

template <class Options, class Visitor>
void visit_output(Options& o, Visitor&& v) {
  v({.name = "out",
     .value = "DIR",
     .help = "run directory: settings, metrics, checkpoints, model (REQUIRED "
             "by train)"},
    o.out);
  v({.name = "checkpoint-every",
     .value = "N",
     .help = "optimizer steps between checkpoints; 0 = at the end only",
     .bound = at_least(0)},
    o.checkpoint_every);
  v({.name = "keep-checkpoints",
     .value = "K",
     .help = "newest checkpoints to keep",
     .bound = at_least(1)},
    o.keep_checkpoints);
  v({.name = "eval-every",
     .value = "N",
     .help = "optimizer steps between evaluations; 0 = at the end only",
     .bound = at_least(0)},
    o.eval_every);
  v({.name = "keep-best",
     .help = "write the model of the step with the lowest validation loss, not "
             "that of the last step"},
    o.keep_best);
  v({.name = "merge", .help = "write the model with its adapters merged in"},
    o.merge);
  v({.name = "save-dtype",
     .help =
         "type of the weights in out/model (default: as they were trained)"},
    o.save_dtype);
  v({.name = "tensorboard",
     .help = "write the metrics as TensorBoard's event files, too: "
             "out/tensorboard/"},
    o.tensorboard);
}

/// Rows of the settings that decide only the time, and which files are written.
template <class Options, class Visitor>
void visit_physical(Options& o, Visitor&& v) {
  visit_resources(o, v);
  visit_output(o, v);
}

/// Rows of all settings that config.toml holds.
template <class Options, class Visitor>
void visit_settings(Options& o, Visitor&& v) {
  visit_logical(o, v);
  visit_extent(o, v);
  visit_physical(o, v);
}

/// Rows of the settings of one call.
template <class Options, class Visitor>
void visit_invocation(Options& o, Visitor&& v) {
  v({.name = "resume",
     .help = "go on from the newest good checkpoint in --out, or begin the run "
             "there"},
    o.resume);
  v({.name = "max-time",
     .value = "90s|30m|8h",
     .help = "stop when the command, planning included, has run this long: "
             "finish the window, save, write the model; --resume goes on",
     .bound = above(0)},
    o.max_time);
}

} // namespace accrue
