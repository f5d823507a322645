#include "accrue/io/safetensors.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/safetensors_file.h"

namespace accrue {
namespace {

std::string build_header(const TensorMap& tensors) {
  io::OrderedJson header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const char* dtype = io::safetensors_name(tensor.scalar_type());
    if (dtype == nullptr) {
      throw DataError(
          fmt::format("[safetensors] {} has an unsupported dtype.", name));
    }
    io::OrderedJson entry;
    entry["dtype"] = dtype;
    entry["shape"] = tensor.sizes().vec();
    entry["data_offsets"] = {offset, offset + tensor.nbytes()};
    header[name] = entry;
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' '); // tensors start 8-byte aligned
  return text;
}

} // namespace

void save_safetensors(
    const std::filesystem::path& path,
    const TensorMap& tensors) {
  std::string header = build_header(tensors);
  uint64_t header_bytes = header.size();
  io::FileWriter writer(path);
  writer.write(std::as_bytes(std::span(&header_bytes, 1)));
  writer.write(header);
  for (const auto& [name, tensor] : tensors) {
    at::Tensor flat = tensor.detach().to(at::kCPU).contiguous();
    writer.write(
        {static_cast<const std::byte*>(flat.const_data_ptr()), flat.nbytes()});
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
