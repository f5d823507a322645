// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "accrue/core/error.h"
#include "accrue/io/safetensors.h"
#include "io/files.h"
#include "support.h"

namespace accrue {
namespace {

using testing::expect_contains;
using testing::message_of;
using testing::TemporaryFolder;

std::string file_with_header(const std::string& header, size_t data_bytes) {
  uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(data_bytes, '\1');
}

TEST(SafetensorsTest, RoundTripKeepsEveryDtypeAndShape) {
  TemporaryFolder folder;
  TensorMap tensors;
  for (auto dtype :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong}) {
    tensors[c10::toString(dtype)] = at::arange(12).view({3, 4}).to(dtype);
  }
  tensors["scalar"] = at::arange(1).squeeze().to(at::kFloat);
  tensors["empty"] = at::arange(0).to(at::kFloat);
  tensors["transposed"] = at::randn({3, 5}).t();
  save_safetensors(folder / "a.safetensors", tensors);
  TensorMap back = load_safetensors(folder / "a.safetensors");
  ASSERT_EQ(back.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(back[name].scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(back[name], tensor)) << name;
  }
}

TEST(SafetensorsTest, LoadsIntoTensorsOfOtherDtypes) {
  TemporaryFolder folder;
  at::Tensor large = at::randn({3, 400'000}); // several pieces
  save_safetensors(folder / "a", {{"large", large}, {"small", at::arange(3)}});
  TensorMap into{
      {"large", at::empty({3, 400'000}, at::kDouble)},
      {"small", at::empty({3}, at::kFloat)}};
  load_safetensors(folder / "a", into);
  EXPECT_TRUE(at::equal(into["large"], large.to(at::kDouble)));
  EXPECT_TRUE(at::equal(into["small"], at::arange(3).to(at::kFloat)));
}

TEST(SafetensorsTest, IsWrittenInAnotherDtype) {
  TemporaryFolder folder;
  at::Tensor large = at::randn({3, 400'000}).t(); // several pieces
  for (auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    save_safetensors(
        folder / "a", {{"large", large}, {"empty", at::empty({0, 3})}}, dtype);
    TensorMap back = load_safetensors(folder / "a");
    EXPECT_EQ(back["large"].scalar_type(), dtype);
    EXPECT_TRUE(at::equal(back["large"], large.to(dtype)));
  }
}

TEST(SafetensorsTest, ValuesTooLargeForADtypeAreNamed) {
  TemporaryFolder folder;
  at::Tensor values = at::ones({600'000});
  values[599'999] = -1e5;
  auto message = message_of<DataError>([&] {
    save_safetensors(folder / "a", {{"w", values}}, at::kHalf);
  });
  expect_contains(message, "\"w\" holds values up to 100000");
  EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
  values[599'999] = -HUGE_VAL; // was infinite before
  save_safetensors(folder / "a", {{"w", values}}, at::kHalf);
}

TEST(SafetensorsTest, WhatDoesNotMatchIsNamedAndNothingChanges) {
  TemporaryFolder folder;
  save_safetensors(
      folder / "a", {{"a", at::ones({2})}, {"extra", at::ones({2})}});
  TensorMap into{{"a", at::zeros({2})}, {"b", at::zeros({2})}};
  auto message =
      message_of<DataError>([&] { load_safetensors(folder / "a", into); });
  expect_contains(message, "\"b\" is missing");
  expect_contains(message, "\"extra\" is not expected");
  EXPECT_EQ(into["a"].sum().item<double>(), 0);
}

TEST(SafetensorsTest, EqualTensorsGiveEqualFiles) {
  TemporaryFolder folder;
  TensorMap tensors{{"b", at::arange(3)}, {"a", at::randn({2, 2})}};
  save_safetensors(folder / "1", tensors);
  save_safetensors(folder / "2", tensors);
  EXPECT_EQ(io::read_file(folder / "1"), io::read_file(folder / "2"));
}

TEST(SafetensorsTest, DamagedFilesAreNamedNotRead) {
  TemporaryFolder folder;
  auto header = [](std::string dtype, std::string shape, std::string offsets) {
    return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape +
        R"(,"data_offsets":)" + offsets + "}}";
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"short", "too short"},
      {std::string(8, '\x7f') + "x", "more than the file holds"},
      {file_with_header("[1, 2]", 0), "not a JSON object"},
      {file_with_header("{\"w\": 3}", 0), "damaged entry \"w\""},
      {file_with_header(header("F32", "[2]", "[0, 4]"), 4), "places \"w\""},
      {file_with_header(header("F32", "[2]", "[0, 8]"), 4), "places \"w\""},
      {file_with_header(header("F32", "[1]", "[8, 4]"), 8), "places \"w\""},
      {file_with_header(header("F32", "[-1]", "[0, 4]"), 4),
       "impossible shape"},
      {file_with_header(header("F32", "[4294967296, 4294967296]", "[0, 0]"), 0),
       "impossible shape"},
      {file_with_header(header("F8", "[1]", "[0, 4]"), 4), "dtype F8"},
      {file_with_header(header("F32", "[1]", "[0, 4]"), 8), "holds 8 bytes"},
      // As many bytes as there are, but two in one place and a gap elsewhere.
      {file_with_header(
           R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
           R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
           8),
       "places \"b\" at byte 0, the tensor before it ends at 4"},
  };
  for (const auto& [bytes, what] : cases) {
    std::string path = folder.write("bad.safetensors", bytes);
    auto message = message_of<DataError>([&] { (void)load_safetensors(path); });
    expect_contains(message, what);
    expect_contains(message, path);
  }
}

TEST(FileWriterTest, AbandonedWriterLeavesTheOldFile) {
  TemporaryFolder folder;
  std::string path = folder.write("f", "old");
  {
    io::FileWriter writer(path);
    writer.write("new");
  }
  EXPECT_EQ(io::read_file(path), "old");
  io::write_file(path, "new");
  EXPECT_EQ(io::read_file(path), "new");
  int entries = 0;
  for (auto it = std::filesystem::directory_iterator(folder / "");
       it != std::filesystem::directory_iterator();
       ++it) {
    ++entries;
  }
  EXPECT_EQ(entries, 1);
}

TEST(AppendFileTest, MakesTheFileAndSaysWhyItCannot) {
  TemporaryFolder folder;
  io::append_file(folder / "f", "a");
  io::append_file(folder / "f", "bc");
  EXPECT_EQ(io::read_file(folder / "f"), "abc");
  auto message =
      message_of<DataError>([] { io::append_file("/dev/full", "x"); });
  expect_contains(message, "[io] cannot write /dev/full: No space left");
  expect_contains(message, "--resume");
}

TEST(FileWriterTest, SaysWhyItCannotWrite) {
  auto message = message_of<DataError>(
      [] { io::write_file("/nonexistent/folder/f", "x"); });
  expect_contains(message, "/nonexistent/folder/f");
  expect_contains(message, "No such file");
}

} // namespace
} // namespace accrue
