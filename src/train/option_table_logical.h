#pragma once

#include "train/options.h"

// The part of train/option_table.h that decides the result of a run.

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
    "training data: text, JSON lines or arrays (records with \"text\", "
    "\"messages\", or \"prompt\" and \"completion\"), .gz or .zst of these, "
    "folders; a.jsonl:0.7 b.txt:0.3 mixes samples by these shares");
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
  v("train-embeddings",
    o.train_embeddings,
    "added|TOKEN...",
    "beside LoRA also train the embeddings of these tokens (their rows of "
    "embedding and head), such as those of a chat template that the model does "
    "not know; added: all that were added to the tokenizer (without names, "
    "too)");
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
    "hold back this share of the samples, from all over the data, for "
    "validation");
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

} // namespace accrue
