import gzip
import json
import os
import shutil
import subprocess
import unittest

from support import ACCRUE, SANITIZED, CliTest, prose

CONVERSATIONS = [[prose(4, seed=i), prose(3, seed=i + 100)] for i in range(24)]


class FilesTest(CliTest):
    """Data as it is published: what is read, and what is refused by name."""

    def weights(self, path):
        """What a step on the data leaves: the same for the same data alone."""
        out = self.folder / "weights"
        shutil.rmtree(out, ignore_errors=True)
        self.train("weights", "--steps", 1, "--data", path)
        return self.model_bytes("weights")

    def refuse(self, path, *parts, flags=()):
        done = self.train("run", "--steps", 1, "--data", path, *flags, expect=3)
        self.assert_error(done, "[data]", str(path), *parts)
        self.assertFalse((self.folder / "run").exists(), "something was half-written")

    def test_containers_hold_the_same_data(self):
        records = [{"text": f"{question} {answer} \u00e9\U0001f642"}
                   for question, answer in CONVERSATIONS]
        lines = "".join(json.dumps(r) + "\n" for r in records)
        want = self.weights(self.write("want.jsonl", lines))
        pieces = [gzip.compress(lines[i:i + 500].encode()) for i in range(0, len(lines), 500)]
        for name, contents in {
                "array.json": json.dumps(records),
                "pretty.json": json.dumps(records, indent=2, ensure_ascii=False),
                "array.jsonl": json.dumps(records),
                "lines.json": lines,
                "several.jsonl": "\n".join(json.dumps(r, indent=1) for r in records),
                "windows.jsonl": "\ufeff" + lines.replace("\n", "\r\n"),
                "a.jsonl.gz": gzip.compress(lines.encode()),
                "a.json.gz": gzip.compress(json.dumps(records).encode()),
                "members.jsonl.gz": b"".join(pieces)}.items():
            self.assertEqual(self.weights(self.write(name, contents)), want, name)
        # Control: other data leaves other weights.
        other = lines.replace("whale", "shark")
        self.assertNotEqual(self.weights(self.write("other.jsonl", other)), want)

    def test_text_may_be_compressed_and_marked(self):
        text = prose(3000, seed=5)
        want = self.weights(self.write("want.txt", text))
        self.assertEqual(self.weights(self.write("mark.txt", "\ufeff" + text)), want)
        self.assertEqual(
            self.weights(self.write("a.txt.gz", gzip.compress(text.encode()))), want)
        if shutil.which("zstd"):
            subprocess.run(["zstd", "-q", self.path("want.txt"), "-o", self.path("a.txt.zst")],
                           check=True)
            self.assertEqual(self.weights(self.path("a.txt.zst")), want)

    def test_alpaca_and_sharegpt_are_conversations(self):
        def lines(records):
            return "".join(json.dumps(r) + "\n" for r in records)

        want = self.weights(self.write("want.jsonl", lines(
            {"prompt": q, "completion": a} for q, a in CONVERSATIONS)))
        for name, record in {
                "alpaca": lambda q, a: {"instruction": q, "input": "", "output": a},
                "published": lambda q, a: {
                    "instruction": q, "input": "", "output": a,
                    "text": f"### Instruction:\n{q}\n\n### Response:\n{a}"},
                "sharegpt": lambda q, a: {"id": "x", "conversations": [
                    {"from": "human", "value": q}, {"from": "gpt", "value": a}]}}.items():
            records = [record(q, a) for q, a in CONVERSATIONS]
            self.assertEqual(self.weights(self.write(f"{name}.jsonl", lines(records))), want)
            self.assertEqual(self.weights(self.write(f"{name}.json", json.dumps(records))), want)
        self.assertEqual(
            self.weights(self.write("input.json", json.dumps(
                [{"instruction": q, "input": "more", "output": a} for q, a in CONVERSATIONS]))),
            self.weights(self.write("joined.jsonl", lines(
                {"prompt": q + "\n\nmore", "completion": a} for q, a in CONVERSATIONS))))

    def test_json_errors_name_line_column_and_cause(self):
        good = json.dumps({"text": "a good line " * 50}) + "\n"
        for line, column, cause in (
                (r'{"text": "\ud83d"}', 17, "half of a surrogate pair"),
                ('{"text": "a", "n": NaN}', 20, "write null"),
                ('{"text": "a", "n": Infinity}', 20, "write null"),
                ('{"text": "a\tb"}', 12, r"must be escaped to \u0009 or \t"),
                ('{"text": "a", "text": "b"}', 20, '"text" stands twice'),
                ('{"text": "a",}', 14, "a comma before a closing bracket"),
                ('{"text": "\u00e9\u00e9', 13, "cut short"),
                ('{"text": "a"', 13, "cut short"),
                ("{'text': 'a'}", 2, "double quotes"),
                (b'{"text": "caf\xe9"}', 15, "iconv")):
            bad = line if isinstance(line, bytes) else line.encode()
            path = self.write("bad.jsonl", good.encode() + bad + b"\n" + good.encode() * 10)
            self.refuse(path, f"line 2 of {path}, column {column}: is not valid JSON", cause,
                        "--skip-bad-lines")
            done = self.train("ok", "--steps", 1, "--data", path, "--skip-bad-lines")
            self.assertIn("1 bad lines skipped", done.stdout)
            shutil.rmtree(self.folder / "ok")

    def test_arrays_must_be_whole(self):
        records = json.dumps([{"text": prose(50, seed=i)} for i in range(60)], indent=1)
        for contents, what in ((records[:-1], "the array has no end"),
                               (records[:3000], "the array has no end"),
                               (records[:-2] + ",\n]", "line 182 of"),
                               (records + records, "more follows after the end")):
            # Nobody can tell how many records there would have been.
            for flags in ((), ("--skip-bad-lines",)):
                self.refuse(self.write("a.json", contents), what, "Fix the file", flags=flags)

    def test_other_encodings_and_formats_are_named(self):
        text = prose(500)
        for encoding, name in (("utf-16", "UTF-16"), ("utf-16-le", "UTF-16LE"),
                               ("utf-16-be", "UTF-16BE"), ("utf-32", "UTF-32")):
            path = self.write("a.txt", text.encode(encoding))
            self.refuse(path, f"iconv -f {name} -t UTF-8 {path} > ")
        # The remedy is one.
        if shutil.which("iconv"):
            done = self.train("run", "--steps", 1, "--data", self.write(
                "a.txt", text.encode("utf-16")), expect=3)
            subprocess.run(done.stderr.split("Convert it: ")[1], shell=True, check=True)
            self.assertEqual((self.folder / "a.utf8.txt").read_text(), text)
        for name, remedy in (("a.csv", "pandas.read_csv(sys.argv[1]).to_json("),
                             ("a.tsv", "sep='\\t'"),
                             ("a.parquet", "pandas.read_parquet("),
                             ("a.arrow", "datasets.Dataset.from_file("),
                             ("a.xlsx", "pandas.read_excel("),
                             ("a.csv.gz", "pandas.read_csv(")):
            self.refuse(self.write(name, text), remedy)
        self.refuse(self.write("b.txt", gzip.compress(text.encode())),
                    "is gzip data", "b.txt.gz")
        self.refuse(self.write("b.jsonl", b"PAR1\x15\x04\x15\xff\x80" + bytes(20)),
                    "is a Parquet table")

    def test_compressed_files_must_be_whole(self):
        data = gzip.compress(prose(3000).encode())
        self.refuse(self.write("a.txt.gz", data[:-1]), "is cut short")
        self.refuse(self.write("a.txt.gz", data[:-8] + bytes(4) + data[-4:]), "is damaged")
        self.refuse(self.write("a.txt.zst", data), "is damaged or not zstd data")

    def test_folder_says_what_it_leaves_out(self):
        folder = self.folder / "data"
        (folder / "deep").mkdir(parents=True)
        self.write("data/a.txt", prose(1000))
        self.write("data/deep/b.json", json.dumps([{"text": prose(1000)}]))
        for name in ("c.parquet", "deep/d.parquet", "README.md", "LICENSE"):
            self.write("data/" + name, "x")
        left_out = "left out     1 .md, 2 .parquet, 1 without extension"
        done = self.train("run", "--steps", 1, "--data", folder)
        self.assertEqual(done.stdout.count(left_out), 1)
        self.assertLess(done.stdout.index(left_out), done.stdout.index("step 1/1"))
        self.assertIn(left_out, self.run_accrue(
            "eval", "--model", self.path("run/model"), "--valid", folder).stdout)
        for command in ("plan", "verify"):
            self.assertIn(left_out, self.run_accrue(
                command, "--model", self.gpt2, "--data", folder, "--seq-len", 32,
                "--global-batch", 4, "--threads", 1).stdout)
        # Not a word where nothing is.
        self.assertNotIn("left out", self.train("text", "--steps", 1).stdout)

    def test_replaced_file_of_old_size_and_time_is_the_new_text(self):
        path, old, new = self.path("text.txt"), prose(3000), prose(3000).replace("whale", "shark")
        self.assertEqual(len(old), len(new))
        want = {text: self.weights(self.write(name, text))
                for name, text in (("old.txt", old), ("new.txt", new))}
        self.assertNotEqual(want[old], want[new])
        self.write("text.txt", old)
        stat = os.stat(path)
        self.assertEqual(self.weights(path), want[old])
        self.train("run", "--steps", 1)
        self.write("text.txt", new)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.assertEqual(self.weights(path), want[new])
        done = self.run_accrue(
            "train", "--out", self.path("run"), "--resume", "--steps", 2, expect=3)
        self.assert_error(done, "other contents of the training data")
        # Control: with the old contents it goes on.
        self.write("text.txt", old)
        self.run_accrue("train", "--out", self.path("run"), "--resume", "--steps", 2)

    def test_moved_file_is_found_in_the_cache(self):
        self.weights(self.text)

        def notes():
            return len(list((self.folder / "cache" / "accrue").glob("*.json")))

        self.assertEqual(notes(), 1)
        os.rename(self.text, self.path("moved.txt"))
        self.weights(self.path("moved.txt"))
        self.assertEqual(notes(), 1)
        self.weights(self.write("other.txt", prose(3000, seed=2)))
        self.assertEqual(notes(), 2)

    @unittest.skipIf(SANITIZED, "a sanitizer keeps freed memory for a while")
    def test_compressed_file_takes_no_more_memory_than_a_plain_one(self):
        """A text of 256 MiB in 1 MiB of gzip. What ends it early is a byte that is no text."""
        bomb = gzip.compress(b"whale and sea " * (1 << 22), compresslevel=1) * 4
        bomb += gzip.compress(b"\xff")

        def peak(path):
            child = subprocess.Popen(
                [ACCRUE, *map(str, self.train_args("run", "--steps", 1, "--data", path))],
                env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            message = child.stderr.read()
            _, status, usage = os.wait4(child.pid, 0)
            child.stderr.close()
            child.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(child.returncode, 3)
            return usage.ru_maxrss * 1024, message

        small, _ = peak(self.write("small.txt", b"\xff"))
        peak_bytes, message = peak(self.write("bomb.txt.gz", bomb))
        self.assertIn("byte 234881024 is 0xff", message)
        self.assertLess(peak_bytes, small + (64 << 20))


if __name__ == "__main__":
    unittest.main()
