#!/usr/bin/env python3
"""The logic of run.py: needs neither a GPU nor the program."""

import json
import pathlib
import struct
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import correctness  # noqa: E402
import tensor_files  # noqa: E402
import tests_of_program  # noqa: E402
from parts import FAILED, OVER, PASSED, SKIPPED, Log, Part, Skip, TimeOver, verdict  # noqa: E402


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="accrue-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.log = Log(self.folder / "log")
        self.addCleanup(self.log.file.close)

    def part(self, limit=20, gates=True):
        return Part("x", "a part", limit, self.log, gates, say=lambda text: None)

    def tensors(self, name, **values):
        """Writes a file of fp32 tensors in the order given."""
        header, body = {"__metadata__": {"format": "pt"}}, b""
        for key, numbers in values.items():
            data = struct.pack(f"<{len(numbers)}f", *numbers)
            header[key] = {"dtype": "F32", "shape": [len(numbers)],
                           "data_offsets": [len(body), len(body) + len(data)]}
            body += data
        text = json.dumps(header).encode()
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", len(text)) + text + body)
        return path


class TensorFilesTest(Folder):
    def test_first_tensor_that_differs_is_named(self):
        a = self.tensors("a", wte=[1, 2], bias=[0], norm=[1, 1, 1])
        b = self.tensors("b", wte=[1, 2], bias=[0.5], norm=[1, 2, 3])
        self.assertEqual(tensor_files.first_difference(a, b), "bias (1 of 1 elements)")

    def test_elements_that_differ_are_counted(self):
        a = self.tensors("a", norm=[1, 1, 1])
        b = self.tensors("b", norm=[1, 2, 3])
        self.assertEqual(tensor_files.first_difference(a, b), "norm (2 of 3 elements)")

    def test_equal_files_have_no_difference(self):
        a = self.tensors("a", wte=[1, 2])
        self.assertIsNone(tensor_files.first_difference(a, self.tensors("b", wte=[1, 2])))

    def test_a_tensor_of_one_file_alone_is_a_difference(self):
        a, b = self.tensors("a", x=[1]), self.tensors("b", x=[1], y=[1])
        self.assertIn("y (only in one", tensor_files.first_difference(a, b))

    def test_relative_errors_are_of_norms(self):
        a, b = self.tensors("a", x=[3, 4.5], z=[0]), self.tensors("b", x=[3, 4], z=[0])
        self.assertEqual(tensor_files.relative_errors(a, b), {"x": 0.1, "z": 0})


class PartTest(Folder):
    def test_a_part_over_its_time_is_reported_and_the_next_one_runs(self):
        slow, next_one = self.part(0.3), self.part()
        start = time.monotonic()
        # A child of its own must end, too: it would hold the pipe.
        slow.finish(lambda part: part.run(["sh", "-c", "echo begun; sleep 60 & sleep 60"]))
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual(slow.status, OVER)
        self.assertIn("stopped after", slow.lines[-1])
        self.assertIn("begun", (self.folder / "log").read_text())
        next_one.finish(lambda part: part.check(part.run(["true"]).code == 0, "true"))
        self.assertEqual(next_one.status, PASSED)
        self.assertEqual(verdict([slow, next_one]), "FAIL: (x) over its time")

    def test_a_fault_of_a_part_is_its_result(self):
        part = self.part()
        part.finish(lambda part: 1 / 0)
        self.assertEqual(part.status, FAILED)
        self.assertIn("ZeroDivisionError", part.lines[-1])

    def test_a_part_that_checked_nothing_has_not_passed(self):
        part = self.part()
        part.finish(lambda part: None)
        self.assertEqual(part.status, FAILED)

    def test_verdict_fails_if_any_gate_failed(self):
        good, bad, skipped, other = (self.part() for _ in range(4))
        other.gates = False
        good.finish(lambda part: part.check(True, "x"))
        bad.finish(lambda part: (part.check(True, "x"), part.check(False, "y")))
        other.finish(lambda part: 1 / 0)

        def skip(_):
            raise Skip("no GPU")
        skipped.finish(skip)
        self.assertEqual(skipped.status, SKIPPED)
        self.assertEqual(verdict([good, skipped, other]), "PASS")
        self.assertEqual(verdict([good, bad, skipped]), "FAIL: (x) failed")
        self.assertEqual(verdict([skipped]), "FAIL: no part passed")


class BitsTest(Folder):
    def case(self, digests):
        case = correctness.Case("c", [], 64, (1, 2), {"control": ["--seed", 2]})
        folders = {}
        for run, value in digests.items():
            folders[run] = self.folder / run
            self.tensors(f"{run}/model/model.safetensors", wte=[0], head=[value])
        names = {run: f"{value:064d}" for run, value in digests.items()}
        return correctness.judge(case, folders, names)

    def test_equal_runs_with_another_control_pass(self):
        self.assertEqual(self.case({"micro-batch 1": 1, "micro-batch 2": 1, "control": 2}),
                         (True, "equal (2 runs)"))

    def test_a_difference_names_the_run_and_the_tensor(self):
        ok, line = self.case({"micro-batch 1": 1, "micro-batch 2": 3, "control": 2})
        self.assertFalse(ok)
        self.assertIn("micro-batch 2 against micro-batch 1 in head", line)

    def test_an_equal_control_fails(self):
        ok, line = self.case({"micro-batch 1": 1, "micro-batch 2": 1, "control": 1})
        self.assertFalse(ok)
        self.assertIn("sees nothing", line)

    def test_controls_have_the_grains_that_they_name(self):
        case = correctness.Case("c", [], 64, (1,), {"a": ["--grain-tokens", 160],
                                                    "b": ["--seed", 2]})
        self.assertEqual(case.controls, {"a": ["--grain-tokens", 160],
                                         "b": ["--grain-tokens", 64, "--seed", 2]})


class TestsOfProgramTest(Folder):
    LISTING = "Running main()\nA/FirstTest.\n  One/cuda  # GetParam() = 1\n  Two\nB.\n  Three\n"

    def program(self, script):
        path = self.folder / "tests"
        path.write_text(f"#!{sys.executable}\nimport os, sys\n"
                        "names = sys.argv[1].split('=')[1].split(':')\n"
                        f"for name in names:\n    print('[ RUN      ]', name, flush=True)\n{script}")
        path.chmod(0o755)
        return path

    def test_listed_tests_have_their_suites(self):
        self.assertEqual(tests_of_program.names_of(self.LISTING),
                         ["A/FirstTest.One/cuda", "A/FirstTest.Two", "B.Three"])

    def test_after_a_crash_the_other_tests_run(self):
        program = self.program("    if name == 'A.2': os.abort()\n"
                               "    print('[       OK ]', name, '(1 ms)', flush=True)\n")
        results, over = tests_of_program.run_tests(
            self.part(), program, ["A.1", "A.2", "A.3"], {})
        self.assertEqual({name: result[0] for name, result in results.items()},
                         {"A.1": "OK", "A.2": "CRASHED", "A.3": "OK"})
        self.assertIsNone(over)

    def test_tests_after_a_broken_device_run_again(self):
        program = self.program(
            "    if name == 'A.1': print('CUDA_ERROR_ILLEGAL_ADDRESS')\n"
            "    bad = len(names) == 2\n"
            "    print('[  FAILED  ]' if bad else '[       OK ]', name, '(1 ms)')\n")
        results, _ = tests_of_program.run_tests(self.part(), program, ["A.1", "A.2"], {})
        self.assertEqual({name: result[0] for name, result in results.items()},
                         {"A.1": "FAILED", "A.2": "OK"})

    def test_results_before_the_time_was_over_are_kept(self):
        program = self.program("    if name == 'A.2': import time; time.sleep(60)\n"
                               "    print('[       OK ]', name, '(1 ms)', flush=True)\n")
        results, over = tests_of_program.run_tests(
            self.part(2), program, ["A.1", "A.2"], {})
        self.assertEqual(list(results), ["A.1"])
        self.assertIsInstance(over, TimeOver)

    def test_first_lines_have_no_stack(self):
        self.assertEqual(tests_of_program.first_lines("a\n\nframe #0: x\nb\n"), ["a", "b"])


if __name__ == "__main__":
    unittest.main()
