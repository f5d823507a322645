// SPDX-License-Identifier: Apache-2.0
#include "accrue/io/safetensors.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/safetensors_file.h"

namespace accrue {
namespace {

std::string build_header(
    const TensorMap& tensors,
    std::optional<at::ScalarType> dtype) {
  io::OrderedJson header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    at::ScalarType stored = dtype.value_or(tensor.scalar_type());
    const char* stored_name = io::safetensors_name(stored);
    if (stored_name == nullptr) {
      throw DataError(
          fmt::format("[safetensors] {} has an unsupported dtype.", name));
    }
    auto end = offset +
        static_cast<uint64_t>(tensor.numel()) * c10::elementSize(stored);
    io::OrderedJson entry;
    entry["dtype"] = stored_name;
    entry["shape"] = tensor.sizes().vec();
    entry["data_offsets"] = {offset, end};
    header[name] = entry;
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' '); // tensors start 8-byte aligned
  return text;
}

void write_bytes(const at::Tensor& tensor, io::FileWriter& writer) {
  writer.write(
      {static_cast<const std::byte*>(tensor.const_data_ptr()),
       tensor.nbytes()});
}

/// Rounds and writes one piece at a time, to avoid a second copy of a large
/// tensor.
void write_rounded(
    const std::string& name,
    const at::Tensor& flat,
    at::ScalarType dtype,
    io::FileWriter& writer) {
  for (int64_t i = 0; i < flat.numel(); i += io::kPieceElements) {
    at::Tensor piece =
        flat.narrow(0, i, std::min(io::kPieceElements, flat.numel() - i));
    at::Tensor rounded = piece.to(dtype);
    if (!rounded.isinf().equal(piece.isinf())) {
      throw DataError(fmt::format(
          "[safetensors] \"{}\" holds values up to {} in size, too large for "
          "{}. To save a finished run in another dtype, pass --resume "
          "--save-dtype bf16.",
          name,
          piece.abs().max().item<double>(),
          io::safetensors_name(dtype)));
    }
    write_bytes(rounded, writer);
  }
}

} // namespace

void save_safetensors(
    const std::filesystem::path& path,
    const TensorMap& tensors,
    std::optional<at::ScalarType> dtype) {
  std::string header = build_header(tensors, dtype);
  uint64_t header_bytes = header.size();
  io::FileWriter writer(path);
  writer.write(std::as_bytes(std::span(&header_bytes, 1)));
  writer.write(header);
  for (const auto& [name, tensor] : tensors) {
    at::Tensor values = tensor.detach().to(at::kCPU).contiguous();
    if (dtype && *dtype != values.scalar_type()) {
      write_rounded(name, values.view({-1}), *dtype, writer);
    } else {
      write_bytes(values, writer);
    }
  }
  writer.commit();
}

TensorMap load_safetensors(const std::filesystem::path& path) {
  io::SafetensorsFile file(path);
  TensorMap tensors;
  for (const auto& [name, entry] : file.entries()) {
    at::Tensor tensor =
        at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype));
    file.copy(entry, tensor);
    tensors.emplace(name, std::move(tensor));
  }
  return tensors;
}

void load_safetensors(
    const std::filesystem::path& path,
    const TensorMap& into) {
  io::SafetensorsFile file(path);
  io::FileTensors tensors;
  for (const auto& [name, entry] : file.entries()) {
    tensors[name] = {&file, &entry};
  }
  io::copy(tensors, into);
}

void copy_tensors(const TensorMap& from, const TensorMap& into) {
  io::Shapes shapes;
  for (const auto& [name, tensor] : from) {
    shapes[name] = tensor.sizes().vec();
  }
  io::check_match(shapes, into);
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : into) {
    at::Tensor alias = tensor.detach();
    alias.copy_(from.at(name));
  }
}

} // namespace accrue
