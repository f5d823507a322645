#!/usr/bin/env python3
"""Objects that are compiled once per instruction set share no function.

An inline function that is not inlined becomes a weak symbol, of which the
linker keeps one copy for the whole program. If that copy comes from an object
compiled for AVX-512, every other CPU stops in it with an illegal instruction
(src/tensor/cpu/isa/isa.h). So these objects may have no weak or unique symbol.

The environment's CXX and NM name the compiler and nm; ACCRUE_ISA_OBJECTS lists
the objects, separated by semicolons.
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

CXX = os.environ.get("CXX", "c++")
NM = os.environ.get("NM", "nm")
OBJECTS = [path for path in os.environ.get("ACCRUE_ISA_OBJECTS", "").split(";") if path]

# GNU nm's types of symbols that several objects may define: weak functions and
# objects, and unique ones. (w and v are weak references, not definitions.)
SHARED = {"W", "V", "u"}
# A pointer to the handler of exceptions, the same in every object; not code.
HARMLESS = "DW.ref."


def shared_symbols(path):
    lines = subprocess.run([NM, "-C", str(path)], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    fields = [line.split(maxsplit=2) for line in lines if not line.startswith(" ")]
    return [name for _, kind, name in fields
            if kind in SHARED and not name.startswith(HARMLESS)]


class IsaSymbolsTest(unittest.TestCase):
    def test_no_symbol_is_shared(self):
        self.assertNotEqual(OBJECTS, [])
        for path in OBJECTS:
            self.assertEqual(shared_symbols(path), [], path)

    def compile(self, source):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "a.cpp").write_text(source)
            subprocess.run([CXX, "-std=c++20", "-O0", "-c", path / "a.cpp", "-o", path / "a.o"],
                           check=True)
            return shared_symbols(path / "a.o")

    def test_control_inline_functions_of_the_library_are_found(self):
        found = self.compile(
            "#include <span>\nlong f(std::span<const long> x) { return x.data()[0]; }\n")
        self.assertTrue(any("span" in name for name in found), found)

    def test_control_unique_objects_are_found(self):
        found = self.compile(
            "inline int* f() { static int x; return &x; }\nint* g() { return f(); }\n")
        self.assertEqual(len(found), 2, found)

    def test_static_functions_are_not_shared(self):
        self.assertEqual(self.compile(
            "static int f(int x) { return x; }\nint g(int x) { return f(x); }\n"), [])


if __name__ == "__main__":
    unittest.main()
