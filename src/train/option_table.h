#pragma once

#include "train/options.h"

// Name, placeholder and help of every setting, once. The command line,
// config.toml, --help and the comparison at --resume are all made from the
// visit functions below.

namespace accrue {

/// Calls v(name, field, value placeholder, help) for the settings that decide
/// the result of a run. They may not change at --resume.
template <class Options, class Visitor>
void visit_logical(Options& o, Visitor&& v) {
  v("model",
    o.model,
    "DIR|FILE",
    "Hugging Face model folder, or a config.json for a fresh model");
  v("data",
    o.data,
    "PATH...",
    "training data: .txt files, .jsonl files (lines with \"text\", "
    "\"messages\", or \"prompt\" and \"completion\"), folders");
  v("skip-bad-lines",
    o.skip_bad_lines,
    "",
    "leave out and count JSON lines that are malformed");
  v("objective",
    o.objective,
    "lm|dpo",
    "lm: cross-entropy of text, or of the assistant's tokens; dpo: preference "
    "pairs (\"prompt\", \"chosen\", \"rejected\")");
  v("dpo-beta",
    o.dpo_beta,
    "X",
    "how closely dpo keeps to the model it starts from");
  v("chat-template",
    o.chat_template,
    "auto|chatml|llama3|mistral|plain",
    "how conversations are written; auto: in the model folder's own template, "
    "without one by the tokenizer's special tokens");
  v("chat-date",
    o.chat_date,
    "YYYY-MM-DD",
    "the date for templates that write one (default: today, at the start of a "
    "run)");
  v("train-on",
    o.train_on,
    "completion|assistant|last|all",
    "completion: every answer, of \"prompt\" and \"completion\" the "
    "completion; assistant: answers in the prompt, too; last: the last answer; "
    "all: everything");
  v("special-tokens-in-text",
    o.special_tokens_in_text,
    "",
    "special tokens spelled in what is said become those tokens");
  v("too-long",
    o.too_long,
    "cut|drop|error",
    "conversations and pairs longer than --seq-len; text is always cut into "
    "samples");
  v("lora-rank",
    o.lora_rank,
    "R",
    "train low-rank adapters of this rank instead of the weights");
  v("lora-alpha",
    o.lora_alpha,
    "X",
    "adapters are scaled by alpha / rank (default: twice the rank)");
  v("lora-targets",
    o.lora_targets,
    "NAME...",
    "layers with adapters, e.g. q_proj v_proj (default: all linear ones)");
  v("seq-len",
    o.seq_len,
    "T",
    "target tokens of the longest sample (default: the model's positions, at "
    "most 1024)");
  v("packing",
    o.packing,
    "on|documents|off",
    "on: cut samples from the documents laid end to end; documents: the same, "
    "but attention and positions end with a document; off: no sample crosses "
    "a document, lengths differ");
  v("valid", o.valid, "PATH", "validation text");
  v("valid-fraction",
    o.valid_fraction,
    "X",
    "hold back this share of the samples, the last ones, for validation");
  v("global-batch",
    o.global_batch,
    "N",
    "samples per optimizer step: the logical batch");
  v("global-batch-tokens",
    o.global_batch_tokens,
    "N",
    "the same in tokens; rounded down to whole samples of --seq-len");
  v("optimizer", o.optimizer, "adamw|sgd", "optimizer");
  v("lr", o.lr, "X", "peak learning rate");
  v("min-lr", o.min_lr, "X", "learning rate at the end of a decaying schedule");
  v("schedule",
    o.schedule,
    "constant|cosine|linear|wsd",
    "learning rate over optimizer steps");
  v("warmup-steps",
    o.warmup_steps,
    "N",
    "optimizer steps of linear warm-up from 0");
  v("weight-decay", o.weight_decay, "X", "decoupled; not on biases and norms");
  v("beta1", o.beta1, "X", "AdamW's decay of the gradient average");
  v("beta2", o.beta2, "X", "AdamW's decay of the squared average");
  v("eps", o.eps, "X", "AdamW's epsilon");
  v("momentum", o.momentum, "X", "SGD's momentum");
  v("clip-norm",
    o.clip_norm,
    "X",
    "largest global gradient norm, applied once per window; 0 = off");
  v("dropout",
    o.dropout,
    "P",
    "probability on embeddings and residual branches; the mask of a sample "
    "does not depend on the split");
  v("seed", o.seed, "N", "initial weights, sample order and dropout");
  v("dtype",
    o.dtype,
    "fp32|fp64|bf16",
    "matrix work; bf16 keeps weights and sums in fp32");
  v("shards", o.shards, "S", "fixed slices of the global batch; only 1 so far");
  v("on-nonfinite",
    o.on_nonfinite,
    "error|skip",
    "NaN or infinite loss or gradient: stop, or leave the micro-batch out");
}

template <class Options, class Visitor>
void visit_extent(Options& o, Visitor&& v) {
  v("steps", o.steps, "N", "optimizer steps of the whole run");
  v("epochs",
    o.epochs,
    "X",
    "passes over the data; the last window may be short (default: 1, unless "
    "--steps is given)");
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
  v("merge", o.merge, "", "write the model with its adapters merged in");
  v("save-dtype",
    o.save_dtype,
    "fp32|bf16|fp16",
    "round what goes into out/model to this (default: as it was trained)");
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
  v("quiet", o.quiet, "", "no progress, only results and errors");
}

} // namespace accrue
