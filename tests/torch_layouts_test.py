#!/usr/bin/env python3
"""LibTorch is found as people have it, and what is wrong with one is said.

Each test makes a tree of headers and stub libraries as an installer lays them,
and configures a project that includes cmake/AccrueTorch.cmake and
cmake/AccrueOpenmp.cmake. CMake needs no compiler for that; the last test has
one, and links.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

CMAKE = os.environ.get("CMAKE_COMMAND", "cmake")
CXX = os.environ.get("CXX", "c++")
MODULES = pathlib.Path(__file__).resolve().parent.parent / "cmake"

NEW_ABI = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
OLD_ABI = "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs"

# What the package of a build for CUDA does where there is no toolkit.
NEEDS_TOOLKIT = 'message(FATAL_ERROR "Your installed Caffe2 version uses CUDA but I cannot find the CUDA libraries.")\n'

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(finds_torch LANGUAGES {languages})
{before}
include({modules}/AccrueTorch.cmake)
accrue_find_torch(error)
if(error)
  message(FATAL_ERROR "${{error}}")
endif()
include({modules}/AccrueOpenmp.cmake)
foreach(property IN ITEMS INCLUDE_DIRECTORIES LINK_LIBRARIES)
  get_target_property(value accrue::torch INTERFACE_${{property}})
  message(STATUS "${{property}}=${{value}}")
endforeach()
get_target_property(value accrue::openmp INTERFACE_LINK_LIBRARIES)
message(STATUS "OPENMP=${{value}}")
{after}
"""

# In place of CMake's, which asks a compiler.
FIND_OPENMP = "add_library(OpenMP::OpenMP_CXX INTERFACE IMPORTED)\nset(OpenMP_FOUND TRUE)\n"


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def lay_headers(include, version):
    major, minor, patch = version.split(".")
    numbers = "".join(f"#define TORCH_VERSION_{name} {value}\n" for name, value in
                      (("MAJOR", major), ("MINOR", minor), ("PATCH", patch), ("ABI_TAG", 0)))
    api = include / "torch/csrc/api/include/torch"
    write(api / "torch.h")
    if int(minor) >= 9:
        write(api / "version.h", "#include <torch/headeronly/version.h>\n")
        write(include / "torch/headeronly/version.h", numbers)
    else:
        write(api / "version.h", numbers)


def lay(root, version="2.13.0", abi=NEW_ABI, extra=(), config="", lib="lib"):
    """LibTorch in root: include/, lib/, share/cmake/. Returns root."""
    lay_headers(root / "include", version)
    for name in ("libc10.so", "libtorch_cpu.so", "libtorch.so", *extra):
        write(root / lib / name, f"\0{abi}\0" if name == "libc10.so" else "")
    write(root / "share/cmake/Torch/TorchConfig.cmake", config)
    return root


class TorchLayouts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="accrue-torch-")
        self.addCleanup(folder.cleanup)
        # The system's folders are of this one, so that nothing real is found.
        self.folder = pathlib.Path(folder.name).resolve()
        write(self.folder / "modules/FindOpenMP.cmake", FIND_OPENMP)

    def configure(self, *flags, before="", after="", languages="NONE", env=None):
        source = self.folder / "project"
        write(source / "CMakeLists.txt", PROJECT.format(
            modules=MODULES, before=before, after=after, languages=languages))
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("ACCRUE_TORCH", "CMAKE_PREFIX_PATH", "Torch_DIR")}
        if languages == "NONE":
            flags = (f"-DCMAKE_MODULE_PATH={self.folder}/modules",
                     f"-DCMAKE_SYSTEM_PREFIX_PATH={self.folder}/usr", *flags)
        return subprocess.run(
            [CMAKE, "-S", source, "-B", self.folder / "build", *flags],
            env={**clean, **(env or {})}, cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def found(self, *flags, **how):
        """What accrue::torch and accrue::openmp are, by name."""
        run = self.configure(*flags, **how)
        self.assertEqual(run.returncode, 0, run.stdout)
        pairs = (line[3:].split("=", 1) for line in run.stdout.splitlines()
                 if line.startswith("-- ") and "=" in line)
        return {name: value.split(";") for name, value in pairs}

    def error(self, *flags, **how):
        """What CMake says, its line breaks undone."""
        run = self.configure(*flags, **how)
        self.assertNotEqual(run.returncode, 0, run.stdout)
        return " ".join(run.stdout.split())

    def assert_is(self, found, root, openmp, lib="lib"):
        self.assertEqual(found["INCLUDE_DIRECTORIES"], [
            f"{root}/include", f"{root}/include/torch/csrc/api/include"])
        self.assertEqual(found["LINK_LIBRARIES"], [
            f"{root}/{lib}/libtorch_cpu.so", f"{root}/{lib}/libc10.so"])
        self.assertEqual(found["OPENMP"], [str(openmp)])

    # ---- what is found ----

    def test_wheel_for_the_cpu_by_any_folder_that_leads_to_it(self):
        venv = self.folder / "venv"
        torch = lay(venv / "lib/python3.11/site-packages/torch", extra=["libgomp.so.1"])
        for flag in (f"-DACCRUE_TORCH={torch}", f"-DACCRUE_TORCH={torch}/share/cmake",
                     f"-DACCRUE_TORCH={torch.parent}", f"-DACCRUE_TORCH={venv}",
                     "-DACCRUE_TORCH=venv",
                     f"-DCMAKE_PREFIX_PATH=/nothing;{torch}/share/cmake",
                     f"-DTorch_DIR={torch}/share/cmake/Torch"):
            with self.subTest(flag):
                shutil.rmtree(self.folder / "build", ignore_errors=True)
                self.assert_is(self.found(flag), torch, torch / "lib/libgomp.so.1")

    def test_environment_leads_to_it_and_is_not_needed_again(self):
        torch = lay(self.folder / "torch", extra=["libgomp.so.1"])
        for name, value in (("ACCRUE_TORCH", f"{torch}"), ("CMAKE_PREFIX_PATH", f"/nothing:{torch}")):
            with self.subTest(name):
                shutil.rmtree(self.folder / "build", ignore_errors=True)
                for env in ({name: value}, {}):
                    self.assert_is(self.found(env=env), torch, torch / "lib/libgomp.so.1")

    def test_wheel_for_cuda_without_a_toolkit(self):
        torch = lay(self.folder / "torch", "2.14.1", config=NEEDS_TOOLKIT,
                    extra=["libgomp.so.1", "libtorch_cuda.so", "libc10_cuda.so"])
        flag = f"-DACCRUE_TORCH={torch}"
        self.assert_is(self.found(flag), torch, torch / "lib/libgomp.so.1")
        # The control: its own package stops.
        self.assertIn("uses CUDA but I cannot find", self.error(
            flag, before=f"find_package(Torch REQUIRED PATHS {torch} NO_DEFAULT_PATH)"))

    def test_zip_with_a_runtime_of_hashed_name(self):
        torch = lay(self.folder / "opt/libtorch", "2.6.0", extra=["libgomp-98b21ff3.so.1"])
        for folder in (torch, torch.parent):
            shutil.rmtree(self.folder / "build", ignore_errors=True)
            self.assert_is(self.found(f"-DACCRUE_TORCH={folder}"), torch,
                           torch / "lib/libgomp-98b21ff3.so.1")

    def test_conda_in_the_prefix_with_the_runtime_that_is_there(self):
        prefix = lay(self.folder / "conda", "2.8.0", extra=["libiomp5.so", "libomp.so"])
        (prefix / "lib/python3.12/site-packages/torch").mkdir(parents=True)
        self.assert_is(self.found(f"-DACCRUE_TORCH={prefix}"), prefix, prefix / "lib/libiomp5.so")
        write(prefix / "lib/libgomp.so.1")
        self.assert_is(self.found(f"-DACCRUE_TORCH={prefix}"), prefix, prefix / "lib/libgomp.so.1")

    def test_conda_inside_its_python(self):
        prefix = self.folder / "conda"
        torch = lay(prefix / "lib/python3.12/site-packages/torch", extra=["libgomp.so.1"])
        self.assert_is(self.found(f"-DCMAKE_PREFIX_PATH={prefix}"), torch, torch / "lib/libgomp.so.1")

    def test_system_with_libraries_by_architecture_and_its_own_runtime(self):
        usr = lay(self.folder / "usr", lib="lib/x86_64-linux-gnu")
        self.assert_is(self.found("-DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu"),
                       usr, "OpenMP::OpenMP_CXX", lib="lib/x86_64-linux-gnu")

    def test_own_target_of_the_project_is_taken(self):
        theirs, other = lay(self.folder / "theirs"), lay(self.folder / "other")
        write(theirs / "lib/libgomp.so.1")
        before = f"""add_library(torch SHARED IMPORTED)
            set_property(TARGET torch PROPERTY INTERFACE_INCLUDE_DIRECTORIES
              {theirs}/include {theirs}/include/torch/csrc/api/include)"""
        found = self.found(f"-DACCRUE_TORCH={other}", before=before)
        self.assertEqual(found["LINK_LIBRARIES"], ["torch"])
        self.assertEqual(found["OPENMP"], [f"{theirs}/lib/libgomp.so.1"])

    # ---- what is wrong ----

    def test_nothing_there_is_told_with_what_was_looked_at(self):
        said = self.error(f"-DCMAKE_PREFIX_PATH={self.folder}/a;{self.folder}/b")
        for part in ("LibTorch not found", f"{self.folder}/a", f"{self.folder}/b",
                     f"{self.folder}/usr", "-DACCRUE_TORCH=/path/to/libtorch", "./dev build"):
            self.assertIn(part, said)

    def test_named_folder_without_one_is_not_replaced_by_another(self):
        lay(self.folder / "usr")
        self.assertIn(f"{self.folder}/empty nor in", self.error("-DACCRUE_TORCH=empty"))

    def test_headers_without_libraries_are_none(self):
        lay_headers(self.folder / "torch/include", "2.13.0")
        self.assertIn("LibTorch not found", self.error(f"-DACCRUE_TORCH={self.folder}/torch"))

    def test_too_old_is_told_with_its_version(self):
        for version in ("2.5.1", "1.13.0"):
            torch = lay(self.folder / version, version)
            said = self.error(f"-DACCRUE_TORCH={torch}")
            self.assertIn("LibTorch >= 2.6 needed", said)
            self.assertIn(f"{torch}/include are {version}.", said)
        torch = lay(self.folder / "2.10.0", "2.10.0") # not 2.1
        self.assertIn("LINK_LIBRARIES", self.found(f"-DACCRUE_TORCH={torch}"))

    def test_unknown_version_is_told(self):
        torch = lay(self.folder / "torch")
        write(torch / "include/torch/headeronly/version.h")
        self.assertIn("are of unknown version", self.error(f"-DACCRUE_TORCH={torch}"))

    def test_old_abi_is_told_with_the_library_that_has_it(self):
        torch = lay(self.folder / "torch", "2.6.0", abi=OLD_ABI)
        said = self.error(f"-DACCRUE_TORCH={torch}")
        self.assertIn("pre-C++11 ABI (_GLIBCXX_USE_CXX11_ABI=0; seen in "
                      f"{torch}/lib/libc10.so)", said)
        self.assertIn("Take torch >= 2.7", said)

    # ---- linking ----

    def test_program_links_without_cuda_and_never_maps_it(self):
        torch = lay(self.folder / "torch", config=NEEDS_TOOLKIT, extra=["libgomp.so.1"])
        lib, cuda = torch / "lib", self.folder / "nvidia/lib"
        cuda.mkdir(parents=True)

        def library(path, code, *flags):
            write(self.folder / "code.cpp", code)
            subprocess.run([CXX, "-shared", "-fPIC", self.folder / "code.cpp", "-o", path,
                            f"-Wl,-soname,{path.name}", *flags], check=True)

        library(cuda / "libcudart.so.99", "void cudart() {}")
        library(lib / "libc10.so", "void c10_() {}")
        library(lib / "libgomp.so.1", "")
        library(lib / "libtorch_cpu.so", "void cudart(); void cpu() { cudart(); }",
                cuda / "libcudart.so.99", "-Wl,-rpath,$ORIGIN/../../nvidia/lib")
        library(lib / "libtorch_cuda.so", "")
        library(lib / "libtorch.so", "", "-Wl,--no-as-needed", lib / "libtorch_cuda.so")
        write(self.folder / "project/main.cpp", "void cpu(); int main() { cpu(); }")
        build = self.folder / "build"

        def link():
            self.found(f"-DACCRUE_TORCH={torch}", f"-DCMAKE_CXX_COMPILER={CXX}", languages="CXX",
                       after="add_executable(program main.cpp)\n"
                             "target_link_libraries(program PRIVATE accrue::torch)")
            subprocess.run([CMAKE, "--build", build, "--clean-first"], check=True,
                           stdout=subprocess.DEVNULL)

        link()
        mapped = subprocess.run(["ldd", build / "program"], check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        self.assertIn(f"{lib}/libtorch_cpu.so", mapped)
        self.assertNotIn("libtorch_cuda", mapped)
        subprocess.run([build / "program"], check=True)
        # Where libcudart is not to be found, it links all the same.
        (cuda / "libcudart.so.99").unlink()
        link()
        self.assertIn("libcudart.so.99 => not found", subprocess.run(
            ["ldd", build / "program"], text=True, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    unittest.main()
