#!/usr/bin/env python3
"""Rules that hold for every source of the repository.

Includes point down the page of docs/architecture.md, never up. The order of
the rooms is written once: DEPENDS of accrue_room() in src/CMakeLists.txt.
Every check has a control that must fail.
"""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^#include "(?:accrue/)?(\w+)/[\w./]+"', re.M)
# A comment that starts with one of these has lost its noun or its verb.
NO_START = re.compile(r"//+ *(?:Of|What|That of|Those of)\b")
COMMENT = re.compile(r"(?:^|[\s;{},])//")


def dependencies(cmake):
    """The rooms that each room may include from, by its name."""
    direct = {}
    for name, body in re.findall(r"^accrue_room\((\w+)([^)]*)\)", cmake, re.M):
        depends = re.search(r"\bDEPENDS((?:\s+[a-z]\w*)+)", body)
        direct[name] = set(depends.group(1).split()) if depends else set()
    program = re.search(r"^target_link_libraries\(accrue PRIVATE([^)]*)\)", cmake, re.M)
    direct["cli"] = set(re.findall(r"\baccrue_(\w+)", program.group(1))) & direct.keys()

    def closure(room):
        below = set(direct[room])
        for other in direct[room]:
            below |= closure(other)
        return below

    return {room: closure(room) for room in direct}


ALLOWED = dependencies((ROOT / "src" / "CMakeLists.txt").read_text())


def wrong_includes(room, text):
    return [m.group(0) for m in INCLUDE.finditer(text)
            if m.group(1) != room and m.group(1) not in ALLOWED[room]]


# Other rooms see the contract of tensor/, not how it is kept.
TENSOR_HEADERS = {"tensor/ops.h", "tensor/stream.h", "tensor/version.h", "tensor/environment.h"}
TENSOR_INCLUDE = re.compile(r'^#include "(tensor/[\w./]+)"', re.M)

# Only these go from a tensor to its memory: all else runs on any device.
POINTERS = ("src/tensor/cpu/", "src/tensor/cuda/", "src/io/", "src/objectives/batch.cpp",
            "src/models/build.cpp", "src/models/fresh_weights.cpp")


def wrong_tensor_includes(room, text):
    return [name for name in TENSOR_INCLUDE.findall(text)
            if room != "tensor" and name not in TENSOR_HEADERS]


def wrong_pointers(name, text):
    return 0 if name.startswith(POINTERS) else text.count("data_ptr")


def wrong_page(text):
    """Problems of a page of rooms: missing, unknown, or above a room that uses it."""
    page = re.findall(r"^(\w+)/ ", text.split("```")[1], re.M)
    problems = [f"{room} is missing" for room in ALLOWED.keys() - set(page)]
    problems += [f"{room} is unknown" for room in page if room not in ALLOWED]
    for i, room in enumerate(page):
        problems += [f"{room} is below {other}" for other in page[i + 1:]
                     if room in ALLOWED.get(other, ())]
    return problems


def wrong_comments(text):
    """Starts of comments, not of their further lines, that the rule refuses."""
    wrong = []
    before = ""
    for line in text.splitlines():
        if not COMMENT.search(before) and NO_START.search(line) and COMMENT.search(line):
            wrong.append(line.strip())
        before = line
    return wrong


def missing_files(text):
    """Files of sources that a document names and that do not exist."""
    names = re.findall(r"`([\w./]+/[\w.]+\.(?:h|cpp|py|cmake))`", text)
    return [name for name in names
            if not any((base / name).exists() for base in (
                ROOT, ROOT / "src", ROOT / "include", ROOT / "include" / "accrue"))]


def has_license(text):
    return text.startswith("// SPDX-License-Identifier: Apache-2.0\n")


def too_long(path, text):
    return text.count("\n") > (200 if path.suffix == ".h" else 400)


def files(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                yield path


def sources():
    """Every file of a room."""
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
        self.assertEqual(len(wrong_includes("drive", '#include "models/blocks.h"\n')), 1)

    def test_cmake_names_every_room(self):
        self.assertEqual({room(path) for path in sources()}, ALLOWED.keys())

    def test_dependencies_are_read_from_cmake(self):
        cmake = ("accrue_room(core\n  SOURCES a.cpp\n  PRIVATE x)\n"
                 "accrue_room(io SOURCES b.cpp DEPENDS core LINK y)\n"
                 "accrue_room(run SOURCES c.cpp\n  DEPENDS io)\n"
                 "target_link_libraries(accrue PRIVATE\n  accrue_run accrue_options)\n")
        self.assertEqual(dependencies(cmake), {
            "core": set(), "io": {"core"}, "run": {"core", "io"}, "cli": {"core", "io", "run"}})

    def test_page_of_rooms_is_in_order(self):
        self.assertEqual(wrong_page((ROOT / "docs" / "architecture.md").read_text()), [])

    def test_control_a_wrong_page_is_found(self):
        page = (ROOT / "docs" / "architecture.md").read_text()
        self.assertEqual(wrong_page(re.sub(r"(?m)^optim/ .*\n", "", page)), ["optim is missing"])
        self.assertIn("attic is unknown", wrong_page(page.replace("core/ ", "attic/ ")))
        swapped = page.replace("models/ ", "x/ ").replace("window/ ", "models/ ")
        self.assertIn("window is below models", wrong_page(swapped.replace("x/ ", "window/ ")))

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


class ReadabilityTest(unittest.TestCase):
    def test_files_stay_readable(self):
        for path in files("src", "include", "tests", "examples", "bench"):
            self.assertFalse(too_long(path, path.read_text()), path)

    def test_control_a_long_file_is_found(self):
        self.assertTrue(too_long(pathlib.Path("a.cpp"), "\n" * 401))
        self.assertTrue(too_long(pathlib.Path("a.h"), "\n" * 201))
        self.assertFalse(too_long(pathlib.Path("a.cpp"), "\n" * 400))

    def test_comments_begin_with_a_noun_or_a_verb(self):
        for path in files("src", "include", "tests", "examples", "bench"):
            self.assertEqual(wrong_comments(path.read_text()), [], path)

    def test_control_a_comment_without_a_noun_is_found(self):
        for text in ("/// Of the samples.\n", "  // What follows.\n", "int a; // That of b.\n",
                     "a();\n// Those of a\n// and b\n"):
            self.assertEqual(len(wrong_comments(text)), 1, text)
        for text in ("/// Number of samples.\n", "// The bytes\n// Of this.\n", "// Offset\n",
                     "int a; // as\n       // What says\n", 'f("//What");\n'):
            self.assertEqual(wrong_comments(text), [], text)

    def test_documents_name_files_that_exist(self):
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/*.md")]:
            self.assertEqual(missing_files(path.read_text()), [], path)

    def test_control_a_missing_file_is_found(self):
        self.assertEqual(missing_files("`run/loop.cpp` and `train/loop.cpp`"), ["train/loop.cpp"])

    def test_every_file_names_its_license(self):
        for path in files("src", "include", "tests", "examples", "bench"):
            self.assertTrue(has_license(path.read_text()), path)

    def test_control_a_file_without_a_license_is_found(self):
        self.assertFalse(has_license("#pragma once\n"))


if __name__ == "__main__":
    unittest.main()
