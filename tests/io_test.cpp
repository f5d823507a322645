#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <cstring>

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
  };
  for (const auto& [bytes, what] : cases) {
    std::string path = folder.write("bad.safetensors", bytes);
    auto message = message_of<DataError>([&] { load_safetensors(path); });
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

TEST(FileWriterTest, SaysWhyItCannotWrite) {
  auto message = message_of<DataError>(
      [] { io::write_file("/nonexistent/folder/f", "x"); });
  expect_contains(message, "/nonexistent/folder/f");
  expect_contains(message, "No such file");
}

} // namespace
} // namespace accrue
