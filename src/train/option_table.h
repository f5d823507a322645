#pragma once

#include "train/option_table_logical.h"
#include "train/options.h"

// Name, placeholder and help of every setting, once. The command line,
// config.toml, --help and the comparison at --resume are all made from the
// visit functions below.

namespace accrue {

template <class Options, class Visitor>
void visit_extent(Options& o, Visitor&& v) {
  v("steps", o.steps, "N", "optimizer steps of the whole run");
  v("epochs",
    o.epochs,
    "X",
    "passes over the data; the last window may be short (default: 1, unless "
    "--steps is given)");
  v("patience",
    o.patience,
    "N",
    "end after N evaluations in a row without a lower validation loss");
}

template <class Options, class Visitor>
void visit_physical(Options& o, Visitor&& v) {
  v("micro-batch",
    o.micro_batch,
    "N",
    "samples that go through the model at once (default: planned)");
  v("memory",
    o.memory,
    "SIZE",
    "most memory the process may take, e.g. 2GiB (default: 80 % of what the "
    "machine, or its control group, has free)");
  v("checkpointing",
    o.checkpointing,
    "auto|on|off",
    "activations made again in backward instead of kept: less memory, more "
    "time, the same bits; auto: where memory makes it the better choice");
  v("threads",
    o.threads,
    "N",
    "CPU threads; 0 = OMP_NUM_THREADS, or all cores that the affinity mask and "
    "the CPU quota of the control group leave");
  v("out",
    o.out,
    "DIR",
    "run directory: settings, metrics, checkpoints, model");
  v("checkpoint-every",
    o.checkpoint_every,
    "N",
    "optimizer steps between checkpoints; 0 = at the end only");
  v("keep-checkpoints", o.keep_checkpoints, "K", "newest checkpoints to keep");
  v("eval-every",
    o.eval_every,
    "N",
    "optimizer steps between evaluations; 0 = at the end only");
  v("keep-best",
    o.keep_best,
    "",
    "write the model of the step with the lowest validation loss, not that of "
    "the last step");
  v("merge", o.merge, "", "write the model with its adapters merged in");
  v("save-dtype",
    o.save_dtype,
    "fp32|bf16|fp16",
    "round what goes into out/model to this (default: as it was trained)");
  v("tensorboard",
    o.tensorboard,
    "",
    "write the metrics as TensorBoard's event files, too: out/tensorboard/");
}

template <class Options, class Visitor>
void visit_settings(Options& o, Visitor&& v) {
  visit_logical(o, v);
  visit_extent(o, v);
  visit_physical(o, v);
}

template <class Options, class Visitor>
void visit_invocation(Options& o, Visitor&& v) {
  v("config",
    o.config,
    "FILE",
    "read settings from a TOML file; the command line wins");
  v("resume",
    o.resume,
    "",
    "go on from the newest good checkpoint in --out, or begin the run there");
  v("max-time",
    o.max_time,
    "90s|30m|8h",
    "stop when the command, planning included, has run this long: finish the "
    "window, save, write the model; --resume goes on");
  v("json", o.json, "", "machine-readable output, progress on stderr");
  v("price-per-hour",
    o.price_per_hour,
    "X",
    "what an hour of this machine costs, for plan");
  v("all", o.all, "", "every tensor, not only the worst five, for verify");
  v("quiet", o.quiet, "", "no progress, only results and errors");
}

} // namespace accrue
