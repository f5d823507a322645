#include "accrue/io/safetensors.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstring>

#include "accrue/core/error.h"
#include "io/files.h"
#include "io/json.h"

// Format: https://huggingface.co/docs/safetensors. Eight bytes with the
// header's length (little-endian), a JSON header, then the tensors' bytes.

namespace accrue {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000; // the format's own limit

struct DtypeName {
  at::ScalarType dtype;
  const char* name;
};

constexpr std::array<DtypeName, 6> kDtypes{{
    {at::kDouble, "F64"},
    {at::kFloat, "F32"},
    {at::kHalf, "F16"},
    {at::kBFloat16, "BF16"},
    {at::kLong, "I64"},
    {at::kByte, "U8"},
}};

std::string build_header(const TensorMap& tensors) {
  io::OrderedJson header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const char* dtype = nullptr;
    for (const DtypeName& known : kDtypes) {
      if (known.dtype == tensor.scalar_type()) {
        dtype = known.name;
      }
    }
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

/// Everything that can be wrong with a file has one form of message.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path), file_(path) {}

  TensorMap read() {
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
    io::Json header =
        io::Json::parse(text, text + header_bytes, nullptr, false);
    if (!header.is_object()) {
      fail("has a header that is not a JSON object");
    }
    data_ = bytes.subspan(8 + header_bytes);
    TensorMap tensors;
    uint64_t total_bytes = 0;
    for (const auto& [name, entry] : header.items()) {
      if (name != "__metadata__") {
        at::Tensor tensor = read_tensor(name, entry);
        total_bytes += tensor.nbytes();
        tensors.emplace(name, std::move(tensor));
      }
    }
    // Without overlaps or gaps the tensors cover the data exactly.
    if (total_bytes != data_.size()) {
      fail(fmt::format(
          "holds {} bytes of data, its header describes {}",
          data_.size(),
          total_bytes));
    }
    return tensors;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(fmt::format(
        "[safetensors] {} {}. Restore the file.", path_.string(), what));
  }

  at::Tensor read_tensor(const std::string& name, const io::Json& entry) {
    std::vector<int64_t> shape;
    std::array<uint64_t, 2> offsets{};
    at::ScalarType dtype = at::kFloat;
    try {
      shape = entry.at("shape").get<std::vector<int64_t>>();
      offsets = entry.at("data_offsets").get<std::array<uint64_t, 2>>();
      dtype = parse_dtype(name, entry.at("dtype").get<std::string>());
    } catch (const io::Json::exception& error) {
      fail(fmt::format("has a damaged entry \"{}\" ({})", name, error.what()));
    }
    uint64_t size_bytes = c10::elementSize(dtype);
    for (int64_t extent : shape) {
      if (extent < 0 ||
          __builtin_mul_overflow(
              size_bytes, static_cast<uint64_t>(extent), &size_bytes)) {
        fail(fmt::format(
            "gives \"{}\" the impossible shape [{}]",
            name,
            fmt::join(shape, ", ")));
      }
    }
    auto [begin, end] = offsets;
    if (begin > end || end > data_.size() || end - begin != size_bytes) {
      fail(fmt::format(
          "places \"{}\" at bytes {} to {}, but its shape needs {} bytes of "
          "the {} there are",
          name,
          begin,
          end,
          size_bytes,
          data_.size()));
    }
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
    if (size_bytes > 0) {
      std::memcpy(tensor.mutable_data_ptr(), data_.data() + begin, size_bytes);
      file_.release_pages();
    }
    return tensor;
  }

  at::ScalarType parse_dtype(
      const std::string& name,
      const std::string& dtype) {
    for (const DtypeName& known : kDtypes) {
      if (dtype == known.name) {
        return known.dtype;
      }
    }
    fail(fmt::format("stores \"{}\" as the unsupported dtype {}", name, dtype));
  }

  std::filesystem::path path_;
  io::MappedFile file_;
  std::span<const std::byte> data_;
};

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
  return Reader(path).read();
}

} // namespace accrue
