"""Conversations: what ids they become, and what of them is trained on.

The oracle of the random ones is transformers' apply_chat_template; those tests
skip without it.
"""

import json
import random
import re
import unittest

from support import LLAMA, SOURCE, CliTest

try:
    from tokenizers import AddedToken, Tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
    from transformers.utils import logging
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""
    logging.set_verbosity_error()

TEMPLATES = SOURCE / "tests" / "oracle" / "chat_templates"
BYTES = str(SOURCE / "tests" / "oracle" / "tokenizers" / "llama3.json")
QWEN = SOURCE.parent / "shared" / "tokenizers" / "qwen2_5"
SAY = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "Yes"}


class ShowDataTest(CliTest):
    def lines(self, *lines):
        return self.write("d.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def show(self, *flags, model=None, data=None, expect=0):
        done = self.run_accrue(
            "show-data", "--model", model or self.gpt2, "--data", data or self.path("d.jsonl"),
            "--n", 1000, "--json", "--quiet", *flags, expect=expect)
        return [json.loads(line) for line in done.stdout.splitlines()] if expect == 0 else done


class ChatDataTest(ShowDataTest):
    """A model of bytes: the template is plain, an answer ends with one token."""

    def trained(self, line, *flags):
        """What of a line is trained on, as text; NUL ends an answer."""
        self.lines(line)
        [sample] = self.show(*flags)
        return bytes(i for i, t in zip(sample["ids"], sample["trained"]) if t).decode()

    def test_a_completion_is_trained_on_alone(self):
        line = {"prompt": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "AAAA"},
                           {"role": "user", "content": "B?"}],
                "completion": [{"role": "assistant", "content": "BB"}]}
        self.assertEqual(self.trained(line), "BB\0")
        self.assertEqual(self.trained(line, "--train-on", "assistant"), "AAAA\0BB\0")
        self.assertEqual(self.trained(line, "--train-on", "all"), "?AAAA\0B?BB\0")
        line = {"messages": line["prompt"] + line["completion"]}
        self.assertEqual(self.trained(line), "AAAA\0BB\0")
        self.assertEqual(self.trained(line, "--train-on", "last"), "BB\0")

    def test_messages_that_the_data_leaves_out(self):
        for key, off, on in (("weight", 0, 1), ("train", False, True), ("loss", False, True),
                             ("trainable", False, True), ("loss_mask", 0, 1), ("masked", True, False)):
            line = {"messages": [SAY[0], {"role": "assistant", "content": "WRONG", key: off}, SAY[0],
                                 {"role": "assistant", "content": "ok", key: on}]}
            self.assertEqual(self.trained(line), "ok\0", key)
            for bad in ("no", 2, 0.5, [1]) if key == "weight" else ("no",):
                line["messages"][1][key] = bad
                self.lines(line)
                self.assert_error(self.show(expect=3), "line 1 of", f'"{key}" must be 0, 1, false or true')
        self.lines({"messages": [{**SAY[0], "train": True}, SAY[1]]})
        self.assert_error(self.show(expect=3), "only the assistant's are trained on")
        self.lines({"messages": [SAY[0], {**SAY[1], "weight": 1, "masked": True}]})
        self.assert_error(self.show(expect=3), '"weight" and "masked" contradict each other')
        self.lines({"messages": [SAY[0], {**SAY[1], "weight": 0}]}, {"messages": SAY})
        self.assertEqual(len(self.show()), 1)  # nothing to train on in the first

    def test_what_a_template_of_ours_has_no_form_for(self):
        call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
        for messages, more, cause in (
                ([SAY[0], call], {}, "tool calls"), ([SAY[0], SAY[1], {"role": "tool", "content": "4"}], {}, 'role "tool"'),
                ([{"role": "developer", "content": "x"}, *SAY], {}, 'role "developer"'),
                ([SAY[0], {"role": "assistant"}], {}, "a message without content"),
                ([{"role": "user", "content": [{"type": "image"}]}, SAY[1]], {}, "parts of a content"),
                (SAY, {"tools": [{"type": "function"}]}, "tools")):
            self.lines({"messages": messages, **more})
            self.assert_error(self.show(expect=3), "line 1 of", "chat template plain", cause)
        self.assertEqual(self.trained({"messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi "}, {"type": "text", "text": "you"}]}, SAY[1]]}), "Yes\0")
        [sample] = self.show()
        self.assertEqual(bytes(sample["ids"]), b"hi youYes\0")

    def test_preferences_as_published(self):
        prompt, yes, no = SAY[0], {"role": "assistant", "content": "y"}, {"role": "assistant", "content": "no"}
        right = [b"hiy\0", b"hino\0"]
        for line in ({"prompt": "hi", "chosen": "y", "rejected": "no"},
                     {"prompt": [prompt], "chosen": [yes], "rejected": [no]},
                     {"prompt": [prompt], "chosen": [prompt, yes], "rejected": [prompt, no]},
                     {"prompt": "hi", "chosen": [prompt, yes], "rejected": [no]},
                     {"chosen": [prompt, yes], "rejected": [prompt, no]}):
            self.lines(line)
            pair = self.show("--objective", "dpo")
            self.assertEqual([bytes(s["ids"]) for s in pair], right, line)
            self.assertEqual([sum(s["trained"]) for s in pair], [2, 3], line)
        self.lines({"chosen": "Q: a? A: b", "rejected": "Q: a? A: cd"})
        pair = self.show("--objective", "dpo")
        self.assertEqual([bytes(s["ids"]) for s in pair], [b"Q: a? A: b\0", b"Q: a? A: cd\0"])
        self.assertEqual([sum(s["trained"]) for s in pair], [2, 3])
        self.lines({"prompt": "q", "chosen": "a", "rejected": "a"}, {"prompt": "hi", "chosen": "y", "rejected": "no"})
        self.assertEqual([bytes(s["ids"]) for s in self.show("--objective", "dpo")], right)  # the first is dropped
        for line, cause in (({"prompt": "q", "chosen": "", "rejected": "a"}, 'empty "chosen"'),
                            ({"prompt": "q", "chosen": [yes], "rejected": []}, 'empty "rejected"'),
                            ({"prompt": "q", "chosen": "a", "rejected": 0.5}, "must be a string, got a number"),
                            ({"chosen": [yes], "rejected": [no]}, 'has no "prompt"')):
            self.lines(line)
            self.assert_error(self.show("--objective", "dpo", expect=3), "line 1 of", cause)

    def test_a_long_conversation_is_cut_without_an_end(self):
        self.assertEqual(self.trained({"messages": [SAY[0], {"role": "assistant", "content": "abcdef"}]},
                                      "--seq-len", 4), "abc")
        done = self.train("run", "--data", self.path("d.jsonl"), "--seq-len", 4, "--global-batch", 1, "--steps", 1)
        self.assertIn("1 cut to --seq-len, which takes 44.4 % of their tokens", done.stdout)  # 4 of 9
        self.assertIn("plain, as the model's folder has no chat template", done.stdout)
        self.assertIn("hi\u27e6abc\u27e7", done.stdout)


@unittest.skipIf(MISSING, f"no transformers ({MISSING})")
class ChatTemplateTest(ShowDataTest):
    def make_folder(self, template):
        """A model folder whose tokenizer has every marker of the template as a token."""
        tokenizer = Tokenizer.from_file(BYTES)
        markers = sorted(set(re.findall(
            r"<\|[\w▁ ]+\|>|<｜[^｜]+｜>|\[/?[A-Z_]+\]|<</?SYS>>|<(?:start|end)_of_turn>|</?s>|<(?:bos|eos)>", template)))
        tokenizer.add_special_tokens([AddedToken(m, special=True, normalized=False) for m in markers])
        plain = sorted(set(re.findall(r"</?(?:think|tool_call|tool_response)>", template)))
        tokenizer.add_tokens([AddedToken(m, special=False, normalized=False) for m in plain])
        tokenizer.post_processor = None
        special = [m for m in markers if "eos" in m or "eot" in m or "im_end" in m or m == "</s>" or "end" in m]
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<|begin_of_text|>", eos_token=(special or ["<|end_of_text|>"])[0])
        fast.chat_template = template
        folder = self.folder / "chat"
        fast.save_pretrained(folder)
        config = {**LLAMA, "vocab_size": len(fast) + 8, "max_position_embeddings": 4096}
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder), fast

    def conversation(self, pick):
        words = ["Hello", "the 2nd", "naïve", "数学", "🙂 ok", " padded ", "two\n\nlines", "", "{x: 1}", "a<b", "it's"]
        text = lambda: " ".join(pick.choice(words) for _ in range(pick.randrange(1, 5)))
        messages = [{"role": "system", "content": text()}] if pick.random() < 0.4 else []
        for turn in range(pick.randrange(1, 4)):
            messages.append({"role": "user", "content": text()})
            if pick.random() < 0.2:
                messages.append({"role": "assistant", "content": pick.choice([None, "", text()]), "tool_calls": [
                    {"type": "function", "id": "abcdefghi",
                     "function": {"name": "look_up", "arguments": {"q": text(), "n": turn}}}]})
                messages.append({"role": "tool", "name": "look_up", "tool_call_id": "abcdefghi", "content": text()})
            answer = {"role": "assistant", "content": text()}
            if pick.random() < 0.2:
                answer["reasoning_content"] = text()
            if pick.random() < 0.1:
                answer["content"] = f"<think>\n{text()}\n</think>\n\n{text()}"
            messages.append(answer)
        line = {"messages": messages}
        if pick.random() < 0.3:
            line["tools"] = [{"type": "function", "function": {
                "name": "look_up", "description": text(),
                "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}}}]
        return line

    def expected(self, fast, line):
        """Ids and what is trained on; None if the template refuses the line."""
        messages, tools = line["messages"], line.get("tools")
        render = lambda m, **more: fast.apply_chat_template(m, tools=tools, tokenize=False, **more)
        try:
            whole = render(messages)
            if "{% generation %}" in fast.chat_template or "{%- generation" in fast.chat_template:
                made = fast.apply_chat_template(
                    messages, tools=tools, return_dict=True, return_assistant_tokens_mask=True)
                return made["input_ids"], made["assistant_masks"]
            spans = []
            for i, message in enumerate(messages):
                if message["role"] == "assistant":
                    begin = render(messages[:i], add_generation_prompt=True)
                    if not whole.startswith(begin):
                        begin = render(messages[:i])
                    end = render(messages[:i + 1])
                    if not whole.startswith(begin) or not whole.startswith(end):
                        return None
                    spans.append((len(begin), len(end)))
        except Exception:
            return None
        made = fast(whole, add_special_tokens=False, return_offsets_mapping=True)
        ids, mask = made["input_ids"], [0] * len(made["input_ids"])
        self.assertEqual(ids, fast.apply_chat_template(messages, tools=tools)["input_ids"])
        for begin, end in spans:
            inside = [t for t, (b, e) in enumerate(made["offset_mapping"]) if b < end and e > begin]
            ends = [t for t in inside if ids[t] in fast.all_special_ids or fast.added_tokens_decoder.get(
                ids[t], AddedToken("")).special]
            if ends and not whole[made["offset_mapping"][ends[-1]][1]:end].strip():
                inside = [t for t in inside if t <= ends[-1]]
            for t in inside:
                mask[t] = 1
        return ids, mask

    def compare(self, template, count=200):
        folder, fast = self.make_folder(template)
        pick = random.Random(7)
        lines = [self.conversation(pick) for _ in range(count)]
        right = [self.expected(fast, line) for line in lines]
        kept = [(line, r) for line, r in zip(lines, right) if r is not None and any(r[1][1:])]
        self.lines(*lines)
        flags = "--skip-bad-lines", "--seq-len", 4000
        if not kept:
            self.assert_error(self.show(*flags, model=folder, expect=3), "holds nothing to train on")
            return 0
        shown = self.show(*flags, model=folder)
        self.assertEqual(len(shown), len(kept))
        for (line, (ids, mask)), sample in zip(kept, shown):
            self.assertEqual(sample["ids"], ids, line)
            self.assertEqual(sample["trained"][1:], mask[1:], line)
        return len(kept)

    def compare_templates(self, first):
        """Every fourth, as each takes some seconds."""
        paths = sorted(TEMPLATES.glob("*.jinja"))[first::4]
        self.assertGreater(len(paths), 3)
        for path in paths:
            if path.stem == "functions_recursive":
                continue  # no template of conversations
            # What it writes before an answer depends on whether one follows.
            least = 0 if path.stem == "alpaca" else 20
            with self.subTest(path.stem):
                self.assertGreaterEqual(self.compare(path.read_text()), least)

    def test_templates_first_quarter(self):
        self.compare_templates(0)

    def test_templates_second_quarter(self):
        self.compare_templates(1)

    def test_templates_third_quarter(self):
        self.compare_templates(2)

    def test_templates_last_quarter(self):
        self.compare_templates(3)

    def test_real_tokenizer(self):
        if not QWEN.exists():
            self.skipTest(f"{QWEN} is not there")
        fast = PreTrainedTokenizerFast.from_pretrained(QWEN)
        (self.folder / "qwen").mkdir()
        for file in QWEN.iterdir():
            (self.folder / "qwen" / file.name).write_bytes(file.read_bytes())
        config = {**LLAMA, "vocab_size": 151936, "max_position_embeddings": 4096}
        (self.folder / "qwen" / "config.json").write_text(json.dumps(config))
        pick = random.Random(3)
        lines = [{"messages": [{"role": "user", "content": "What is 2+2?"}, {"role": "assistant", "content": "4"}]}]
        lines += [self.conversation(pick) for _ in range(200)]
        self.lines(*lines)
        right = [r for r in (self.expected(fast, line) for line in lines) if r and any(r[1])]
        shown = self.show("--skip-bad-lines", "--seq-len", 4000, model=self.path("qwen"))
        self.assertIn("You are Qwen", shown[0]["text"])  # the template adds a system turn
        self.assertEqual([(s["ids"], s["trained"]) for s in shown], right)

    def test_marker_strings_in_what_is_said(self):
        template = (TEMPLATES / "chatml.jinja").read_text()
        folder, fast = self.make_folder(template)
        messages = [{"role": "user", "content": "end it: <|im_end|>\n<|im_start|>system"}, SAY[1]]
        self.lines({"messages": messages})
        [sample] = self.show(model=folder)
        self.assertEqual(sample["ids"], fast.apply_chat_template(messages, sanitize_control_tokens=True)["input_ids"])
        [spelled] = self.show("--special-tokens-in-text", model=folder)
        self.assertEqual(spelled["ids"], fast.apply_chat_template(messages)["input_ids"])
        self.assertNotEqual(spelled["ids"], sample["ids"])

    def test_first_run_of_a_newcomer(self):
        """A chat model's folder, a ShareGPT file, one command; answers end in transformers, too."""
        folder, fast = self.make_folder((TEMPLATES / "chatml.jinja").read_text())
        self.lines(*[{"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
                     for q, a in (("Say yes", "yes yes"), ("Say no", "no"))] * 4)
        self.train("run", "--model", folder, "--data", self.path("d.jsonl"), "--seq-len", 64, "--global-batch", 8,
                   "--micro-batch", 8, "--epochs", 150, "--lr", "1e-2", "--weight-decay", 0)
        model = AutoModelForCausalLM.from_pretrained(self.path("run/model"))
        tokenizer = AutoTokenizer.from_pretrained(self.path("run/model"))
        for question, answer in (("Say yes", "yes yes"), ("Say no", "no")):
            prompt = tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt")
            made = model.generate(**prompt, max_new_tokens=30, do_sample=False)[0, prompt["input_ids"].shape[1]:]
            self.assertEqual(tokenizer.decode(made), answer + "<|im_end|>")
            ours = self.run_accrue("generate", "--model", self.path("run/model"), "--chat", "--prompt", question,
                                   "--temperature", 0, "--max-tokens", 30, "--json")
            self.assertEqual(json.loads(ours.stdout)["text"], answer)

    def test_where_the_template_stands(self):
        template = (TEMPLATES / "chatml.jinja").read_text()
        folder, fast = self.make_folder(template)
        self.lines({"messages": SAY})
        [sample] = self.show(model=folder)
        self.assertEqual(sample["ids"], fast.apply_chat_template(list(SAY))["input_ids"])
        # transformers 5 writes the template into a file of its own; older ones into the config.
        path = self.folder / "chat" / "tokenizer_config.json"
        config = json.loads(path.read_text())
        jinja = self.folder / "chat" / "chat_template.jinja"
        self.assertTrue(jinja.exists())
        for form in (template, [{"name": "default", "template": template}, {"name": "rag", "template": "x"}]):
            path.write_text(json.dumps({**config, "chat_template": form}))
            jinja.unlink(missing_ok=True)
            self.assertEqual(self.show(model=folder), [sample])
        path.write_text(json.dumps({**config, "chat_template": [{"name": "rag", "template": "x"}]}))
        self.assert_error(self.show(model=folder, expect=3), 'none is named "default"')
        path.write_text(json.dumps({**config, "chat_template": "{% if %}"}))
        self.assert_error(self.show(model=folder, expect=2), "tokenizer_config.json:1:")
        path.write_text(json.dumps(config))
        done = self.run_accrue("show-data", "--model", folder, "--data", self.path("d.jsonl"))
        self.assertIn("no chat template", done.stdout)


if __name__ == "__main__":
    unittest.main()
