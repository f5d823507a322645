// SPDX-License-Identifier: Apache-2.0
#include "models/config_fields.h"

namespace accrue {
namespace {

/// Fields that do not touch the forward pass or the initial weights: notes of
/// transformers and of tools that fine-tune with it, settings of generation
/// (not in the config since transformers 5), and dropout (--dropout decides).
const std::set<std::string> kInert{
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "_num_labels",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cls_token_id",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "eos_token",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "is_decoder",
    "is_llama_config",
    "label2id",
    "length_penalty",
    "max_length",
    "max_sequence_length",
    "min_length",
    "model_max_length",
    "model_type",
    "n_ctx",
    "n_special",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pad_token",
    "pad_token_id",
    "predict_special_tokens",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "tokenizer_model_max_length",
    "tokenizer_padding_side",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
};

bool is_inert(const std::string& name) {
  return kInert.contains(name) || name.starts_with("unsloth_");
}

} // namespace

void Fields::reject_unknown() {
  for (const auto& [name, value] : json_.items()) {
    if (value.is_null() || used_.contains(name) || is_inert(name)) {
      continue;
    }
    const bool quantized =
        name == "quantization_config" || name == "quantization";
    problems_.add(
        quantized
            ? fmt::format(
                  "\"{}\": quantized weights can't be trained on; take the "
                  "model that they were made from, or what transformers' "
                  "model.dequantize() and save_pretrained write",
                  name)
            : fmt::format(
                  "\"{}\" is not supported; remove it if it has no effect on "
                  "the model",
                  name));
  }
}

} // namespace accrue
