// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "run/option_row.h"
#include "run/options.h"

// Rows of run/option_table.h: model, data and adapters.

namespace accrue {

template <class Options, class Visitor>
void visit_data(Options& o, Visitor&& v) {
  v({.name = "model",
     .value = "DIR|FILE",
     .help = "Hugging Face model folder, or a config.json for a fresh model",
     .required = true},
    o.model);
  v({.name = "data",
     .value = "PATH",
     .help =
         "training data: text, JSON lines or arrays (records with \"text\", "
         "\"messages\", or \"prompt\" and \"completion\"), .gz or .zst of "
         "these, folders; a.jsonl:0.7 b.txt:0.3 mixes samples by these shares",
     .required = true},
    o.data);
  v({.name = "skip-bad-lines",
     .help = "leave out and count JSON lines that are malformed"},
    o.skip_bad_lines);
  v({.name = "objective",
     .help = "lm: cross-entropy of text, or of the assistant's tokens; dpo: "
             "preference pairs (\"prompt\", \"chosen\", \"rejected\")"},
    o.objective);
  v({.name = "dpo-beta",
     .value = "X",
     .help = "strength of the pull towards the model that dpo starts from",
     .bound = above(0)},
    o.dpo_beta);
  v({.name = "chat-template",
     .help = "how conversations are written; auto: in the model folder's own "
             "template, without one by the tokenizer's special tokens"},
    o.chat_template);
  v({.name = "chat-date",
     .value = "YYYY-MM-DD",
     .help = "the date for templates that write one (default: today, at the "
             "start of a run)"},
    o.chat_date);
  v({.name = "train-on",
     .help = "completion: every answer, but none in a \"prompt\"; assistant: "
             "answers in the prompt, too; last: only the last answer; all: "
             "everything"},
    o.train_on);
  v({.name = "special-tokens-in-text",
     .help = "special tokens spelled in messages become those tokens"},
    o.special_tokens_in_text);
  v({.name = "too-long",
     .help = "conversations and pairs longer than --seq-len; text is always "
             "cut into samples"},
    o.too_long);
}

template <class Options, class Visitor>
void visit_adapters(Options& o, Visitor&& v) {
  v({.name = "lora-rank",
     .value = "R",
     .help = "train low-rank adapters of this rank instead of the weights",
     .bound = at_least(1)},
    o.lora_rank);
  v({.name = "lora-alpha",
     .value = "X",
     .help = "adapters are scaled by alpha / rank (default: twice the rank)",
     .bound = at_least(0)},
    o.lora_alpha);
  v({.name = "lora-targets",
     .value = "NAME",
     .help =
         "layers with adapters, e.g. q_proj v_proj (default: all linear ones)"},
    o.lora_targets);
  v({.name = "train-embeddings",
     .value = "added|TOKEN...",
     .help = "beside LoRA also train the embeddings of these tokens (their "
             "rows of embedding and head), such as those of a chat template "
             "that the model does not know; added: all that were added to the "
             "tokenizer (also those without names)",
     .if_bare = "added"},
    o.train_embeddings);
}

} // namespace accrue
