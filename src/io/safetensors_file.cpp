// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_file.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "accrue/core/error.h"

// Format: https://huggingface.co/docs/safetensors. Eight bytes with the
// header's length (little-endian), a JSON header, then the tensors' bytes.

namespace accrue::io {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000; // the format's own limit

struct DtypeName {
  at::ScalarType dtype;
  const char* name;
};

constexpr std::array<DtypeName, 8> kDtypes{{
    {at::kDouble, "F64"},
    {at::kFloat, "F32"},
    {at::kHalf, "F16"},
    {at::kBFloat16, "BF16"},
    {at::kLong, "I64"},
    {at::kInt, "I32"},
    {at::kByte, "U8"},
    {at::kBool, "BOOL"},
}};

} // namespace

void check_match(const Shapes& found, const TensorMap& into) {
  Problems problems;
  for (const auto& [name, tensor] : into) {
    auto it = found.find(name);
    if (it == found.end()) {
      problems.add(fmt::format("tensor \"{}\" is missing", name));
    } else if (tensor.sizes() != at::IntArrayRef(it->second)) {
      problems.add(fmt::format(
          "tensor \"{}\" must have the shape [{}], got [{}]",
          name,
          fmt::join(tensor.sizes(), ", "),
          fmt::join(it->second, ", ")));
    }
  }
  for (const auto& [name, shape] : found) {
    if (!into.contains(name)) {
      problems.add(fmt::format("tensor \"{}\" is not expected", name));
    }
  }
  problems.throw_if_any<DataError>("weights");
}

const char* safetensors_name(at::ScalarType dtype) {
  for (const DtypeName& known : kDtypes) {
    if (known.dtype == dtype) {
      return known.name;
    }
  }
  return nullptr;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(path) {
  auto bytes = file_.bytes();
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes) {
    fail("is too short to be a safetensors file");
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - 8) {
    fail(fmt::format(
        "has a header of {} bytes, more than the file holds", header_bytes));
  }
  auto text = reinterpret_cast<const char*>(bytes.data()) + 8;
  Json header = Json::parse(text, text + header_bytes, nullptr, false);
  if (!header.is_object()) {
    fail("has a header that is not a JSON object");
  }
  data_ = bytes.subspan(8 + header_bytes);
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") {
      entries_[name] = read_entry(name, entry);
    }
  }
  check_coverage();
}

void SafetensorsFile::check_coverage() const {
  std::vector<std::pair<const Entry*, const std::string*>> order;
  for (const auto& [name, entry] : entries_) {
    order.emplace_back(&entry, &name);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->size_bytes) <
        std::pair(b.first->begin, b.first->size_bytes);
  });
  uint64_t end = 0;
  for (const auto& [entry, name] : order) {
    if (entry->begin != end) {
      fail(fmt::format(
          "places \"{}\" at byte {}, the tensor before it ends at {}",
          *name,
          entry->begin,
          end));
    }
    end += entry->size_bytes;
  }
  if (end != data_.size()) {
    fail(fmt::format(
        "holds {} bytes of data, its header describes {}", data_.size(), end));
  }
}

void SafetensorsFile::fail(const std::string& what) const {
  throw DataError(fmt::format(
      "[safetensors] {} {}. Restore the file.", path_.string(), what));
}

void SafetensorsFile::copy(const Entry& entry, const at::Tensor& into) const {
  at::NoGradGuard no_grad;
  at::Tensor flat = into.detach().view({-1});
  for (int64_t i = 0; i < flat.numel(); i += kPieceElements) {
    int64_t count = std::min(kPieceElements, flat.numel() - i);
    flat.narrow(0, i, count).copy_(piece(entry, i, count));
  }
}

at::Tensor SafetensorsFile::piece(
    const Entry& entry,
    int64_t first,
    int64_t count) const {
  const int64_t width = static_cast<int64_t>(c10::elementSize(entry.dtype));
  at::Tensor piece = at::empty({count}, entry.dtype);
  std::memcpy(
      piece.mutable_data_ptr(),
      data_.data() + entry.begin + first * width,
      static_cast<size_t>(count * width));
  file_.release_pages();
  return piece;
}

SafetensorsFile::Entry SafetensorsFile::read_entry(
    const std::string& name,
    const Json& json) const {
  Entry entry;
  std::array<uint64_t, 2> offsets{};
  try {
    entry.shape = json.at("shape").get<std::vector<int64_t>>();
    offsets = json.at("data_offsets").get<std::array<uint64_t, 2>>();
    entry.dtype = parse_dtype(name, json.at("dtype").get<std::string>());
  } catch (const Json::exception& error) {
    fail(fmt::format("has a damaged entry \"{}\" ({})", name, error.what()));
  }
  entry.size_bytes = c10::elementSize(entry.dtype);
  for (int64_t extent : entry.shape) {
    if (extent < 0 ||
        __builtin_mul_overflow(
            entry.size_bytes,
            static_cast<uint64_t>(extent),
            &entry.size_bytes)) {
      fail(fmt::format(
          "gives \"{}\" the impossible shape [{}]",
          name,
          fmt::join(entry.shape, ", ")));
    }
  }
  auto [begin, end] = offsets;
  if (begin > end || end > data_.size() || end - begin != entry.size_bytes) {
    fail(fmt::format(
        "places \"{}\" at bytes {} to {}, but its shape needs {} bytes of "
        "the {} there are",
        name,
        begin,
        end,
        entry.size_bytes,
        data_.size()));
  }
  entry.begin = begin;
  return entry;
}

at::ScalarType SafetensorsFile::parse_dtype(
    const std::string& name,
    const std::string& dtype) const {
  for (const DtypeName& known : kDtypes) {
    if (dtype == known.name) {
      return known.dtype;
    }
  }
  fail(fmt::format("stores \"{}\" as the unsupported dtype {}", name, dtype));
}

void copy(const FileTensors& from, const TensorMap& into) {
  Shapes shapes;
  for (const auto& [name, tensor] : from) {
    shapes[name] = tensor.entry->shape;
  }
  check_match(shapes, into);
  for (const auto& [name, tensor] : into) {
    const FileTensor& source = from.at(name);
    source.file->copy(*source.entry, tensor);
  }
}

bool equal(const FileTensor& a, const FileTensor& b) {
  if (a.entry->shape != b.entry->shape) {
    return false;
  }
  auto numel = static_cast<int64_t>(
      a.entry->size_bytes / c10::elementSize(a.entry->dtype));
  for (int64_t i = 0; i < numel; i += kPieceElements) {
    int64_t count = std::min(kPieceElements, numel - i);
    at::Tensor left = a.file->piece(*a.entry, i, count).to(at::kDouble);
    if (!left.equal(b.file->piece(*b.entry, i, count).to(at::kDouble))) {
      return false;
    }
  }
  return true;
}

} // namespace accrue::io
