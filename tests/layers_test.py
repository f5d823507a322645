#!/usr/bin/env python3
"""Includes point down the page of docs/architecture.md, never up.

Also: no public header pulls in torch/torch.h or torch/types.h, and each file
stays readable in length.
"""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A room may include from itself and from these.
ALLOWED = {
    "core": set(),
    "io": {"core"},
    "device": {"core"},
    "tensor": {"core"},
    "optim": {"core", "tensor"},
    "window": {"core", "optim", "tensor"},
    "drive": {"core", "device", "window"},
    "models": {"core", "io", "tensor", "window"},
    "text": {"core", "io"},
    "report": {"core", "io"},
    "generate": {"core", "models"},
    "objectives": {"core", "io", "models", "report", "text", "window"},
    "run": {"core", "device", "drive", "io", "models", "objectives", "optim", "report", "text",
            "tensor", "window"},
    "cli": {"core", "device", "drive", "generate", "io", "models", "objectives", "optim", "report",
            "run", "tensor", "text", "window"},
}
INCLUDE = re.compile(r'^#include "(?:accrue/)?(\w+)/[\w./]+"', re.M)


def wrong_includes(room, text):
    return [m.group(0) for m in INCLUDE.finditer(text)
            if m.group(1) != room and m.group(1) not in ALLOWED[room]]


# Other rooms see the contract of tensor/, not how it is kept.
TENSOR_HEADERS = {"tensor/ops.h", "tensor/stream.h", "tensor/version.h", "tensor/environment.h"}
TENSOR_INCLUDE = re.compile(r'^#include "(tensor/[\w./]+)"', re.M)

# Only these go from a tensor to its memory: all else runs on any device.
POINTERS = ("src/tensor/cpu/", "src/io/", "src/objectives/batch.cpp", "src/models/build.cpp")


def wrong_tensor_includes(room, text):
    return [name for name in TENSOR_INCLUDE.findall(text)
            if room != "tensor" and name not in TENSOR_HEADERS]


def wrong_pointers(name, text):
    return 0 if name.startswith(POINTERS) else text.count("data_ptr")


def sources():
    for base in (ROOT / "include" / "accrue", ROOT / "src"):
        for path in sorted(base.glob("*/**/*")):
            if path.suffix in (".h", ".cpp"):
                yield path


def room(path):
    """The folder under include/accrue or src."""
    parts = path.relative_to(ROOT).parts
    return parts[parts.index("accrue") + 1] if parts[0] == "include" else parts[1]


class LayersTest(unittest.TestCase):
    def test_includes_point_down(self):
        seen = 0
        for path in sources():
            self.assertEqual(wrong_includes(room(path), path.read_text()), [], path)
            seen += 1
        self.assertGreater(seen, 40)

    def test_control_an_upward_include_is_found(self):
        self.assertEqual(len(wrong_includes("window", '#include "run/task.h"\n')), 1)
        self.assertEqual(len(wrong_includes("core", '#include "accrue/io/safetensors.h"\n')), 1)

    def test_other_rooms_see_the_contract_of_tensor(self):
        for path in sources():
            self.assertEqual(wrong_tensor_includes(room(path), path.read_text()), [], path)

    def test_control_an_include_of_a_backend_is_found(self):
        for name in ("tensor/cpu/kernels.h", "tensor/portable/backend.h", "tensor/backend.h"):
            self.assertEqual(wrong_tensor_includes("models", f'#include "{name}"\n'), [name])

    def test_memory_of_tensors_is_accessed_in_few_places(self):
        for path in sources():
            name = str(path.relative_to(ROOT))
            self.assertEqual(wrong_pointers(name, path.read_text()), 0, path)

    def test_control_an_access_elsewhere_is_found(self):
        text = (ROOT / "src/tensor/cpu/row_access.h").read_text()
        self.assertEqual(wrong_pointers("src/tensor/cpu/row_access.h", text), 0)
        self.assertGreater(wrong_pointers("src/tensor/portable/row_access.h", text), 0)
        self.assertGreater(wrong_pointers("src/models/blocks.cpp", text), 0)

    def test_public_headers_are_light(self):
        for path in (ROOT / "include").rglob("*.h"):
            self.assertNotRegex(path.read_text(), r"#include <torch/", path)

    def test_umbrella_header_has_all(self):
        include = ROOT / "include"
        umbrella = include / "accrue" / "accrue.h"
        for path in include.rglob("*.h"):
            if path != umbrella:
                self.assertIn(f'#include "{path.relative_to(include)}"', umbrella.read_text())

    def test_core_text_and_kernels_do_without_torch(self):
        for path in sources():
            if room(path) in ("core", "text", "report") or path.parent.name == "isa":
                self.assertNotRegex(path.read_text(), r"#include <(ATen|c10|torch)/", path)

    def test_files_stay_readable(self):
        for path in sources():
            lines = path.read_text().count("\n")
            self.assertLessEqual(lines, 200 if path.suffix == ".h" else 450, path)


if __name__ == "__main__":
    unittest.main()
