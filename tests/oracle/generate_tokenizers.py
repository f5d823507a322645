#!/usr/bin/env python3
"""Writes tests/oracle/tokenizers/: small tokenizers and what they do.

Run with tokenizers==0.23.3 installed:

    python tests/oracle/generate_tokenizers.py

Each NAME.json is a tokenizer.json trained here on a few sentences, in the shape
of a family of models; NAME.golden.jsonl holds texts, their ids and what the ids
are decoded to, by the tokenizers package.
"""

import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent / "tokenizers"

CORPUS = [
    "Call me Ishmael. Some years ago—never mind how long precisely—having little money",
    "It is a way I have of driving off the spleen and regulating the circulation.",
    "ünïcödé café naïve Straße 漢字かな交じり文 한국어 Русский текст العربية हिन्दी 🙂👍🏽",
    "int main(){\n\tstd::vector<int> v{1,2,3};\n    return 0;\n}\n", "12345 3.14159 1,000,000",
    "they'd've it's we'll I'M YOU'RE", "   three   spaces   between   ", "\n\n\n\n   \n\t\t x",
] * 4

TEXTS = [
    "", "a", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "Hello world!", "  leading", "trailing  ",
    "it's we'll I'M YOU'RE they'd've", "12345 3.14159 1,000,000 0x1F", "ünïcödé café naïve",
    "e\u0301 combining A\u030a ﷺ ﬁ ½ ² Ⅷ", "漢字かな交じり文、テスト。", "한국어 문장입니다.",
    "Русский текст, проверка.", "العربية نص", "हिन्दी परीक्षण", "ไทยภาษา",
    "🙂👩\u200d👩\u200d👧🇫🇷", "a\u0000b\u0001", "<s>[INST] hi [/INST]</s>", "<|im_start|>user\nHi<|im_end|>\n",
    "x<sep>y  <sep>  z", "word wordsword <word>", "aWORDb WORD WORDS", "▁under▁score ▁", "\ufeffBOM",
    "zero\u200bwidth\u180evowel", "foo_bar.baz-qux/quux", "A" * 48, "x" * 300, "ab " * 60,
    "    def f(x):\n        return x**2\n\n\n", "ſtrange 'ſ caſe K", "İstanbul ISTANBUL",
    "mixed漢字and英語text123numbers", "'quoted' \"double\" `tick` ‘curly’",
]


def texts():
    pick = random.Random(5)
    alphabet = "ab cd 12\n\t.,'é漢🙂 \u0301▁<s>_-  X"
    return TEXTS + ["".join(pick.choice(alphabet) for _ in range(pick.randint(1, 60)))
                    for _ in range(60)]


def train(tokenizer, size=420, **kwargs):
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, **kwargs)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    train(t, special_tokens=["<|endoftext|>"],
          initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def roberta():
    t = gpt2()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True)])
    t.add_tokens([AddedToken("WORD", single_word=True), AddedToken("<sep>", rstrip=True, lstrip=True)])
    t.post_processor = processors.RobertaProcessing(
        ("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")))
    return t


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
               r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                          "<|end_header_id|>", "<|eot_id|>"])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
            special_tokens=[("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))])])
    return t


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    train(t, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return t


def with_bytes(t, unknown=True):
    """A trained model with the tokens that byte fallback needs."""
    data = json.loads(t.to_str())
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    vocab = {name: i for i, name in enumerate(names)}
    for token, _ in sorted(data["model"]["vocab"].items(), key=lambda item: item[1]):
        vocab.setdefault(token, len(vocab))
    data["model"] |= {"vocab": vocab, "byte_fallback": True, "fuse_unk": True,
                      "unk_token": "<unk>" if unknown else None}
    data["added_tokens"] = [
        {"id": i, "content": names[i], "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True} for i in range(3)]
    t = Tokenizer.from_str(json.dumps(data))
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return t


def sentencepiece_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                              decoders.Strip(" ", 1, 0)])


def llama2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    train(t)
    t.pre_tokenizer = None
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = sentencepiece_decoder()
    return with_bytes(t)


def mistral():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    train(t, size=500)
    t.decoder = sentencepiece_decoder()
    return with_bytes(t)


def metaspace_split():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(),
                                         normalizers.Strip(), normalizers.StripAccents()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(prepend_scheme="always"),
        pre_tokenizers.Punctuation("merged_with_previous")])
    train(t, special_tokens=["<unk>", "<s>"], limit_alphabet=40)
    t.decoder = decoders.Metaspace()
    return t


def words():
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Whitespace(),
        pre_tokenizers.Split(Regex(r"\p{N}{1,2}"), "merged_with_next"),
        pre_tokenizers.Split("_", "removed")])
    train(t, special_tokens=["<unk>"], end_of_word_suffix="</w>")
    t.decoder = decoders.BPEDecoder()
    return t


def main():
    HERE.mkdir(exist_ok=True)
    for make in (gpt2, roberta, llama3, qwen2, llama2, mistral, metaspace_split, words):
        tokenizer = make()
        tokenizer.save(str(HERE / f"{make.__name__}.json"), pretty=False)
        with open(HERE / f"{make.__name__}.golden.jsonl", "w") as out:
            for text in texts():
                ids = tokenizer.encode(text).ids
                bare = tokenizer.encode(text, add_special_tokens=False).ids
                out.write(json.dumps({
                    "text": text, "ids": ids, "bare": bare,
                    "decoded": tokenizer.decode(ids, skip_special_tokens=False)}) + "\n")
        print(make.__name__, tokenizer.get_vocab_size())


if __name__ == "__main__":
    main()
