#include "accrue/io/safetensors.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

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

constexpr int64_t kPieceElements = int64_t{1} << 19;

using Shapes = std::map<std::string, std::vector<int64_t>>;

/// Throws DataError with every difference.
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

/// A file whose header is sound. Everything that can be wrong with it has one
/// form of message.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
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
    io::Json header =
        io::Json::parse(text, text + header_bytes, nullptr, false);
    if (!header.is_object()) {
      fail("has a header that is not a JSON object");
    }
    data_ = bytes.subspan(8 + header_bytes);
    uint64_t total_bytes = 0;
    for (const auto& [name, entry] : header.items()) {
      if (name != "__metadata__") {
        Entry& found = entries_[name];
        found = read_entry(name, entry);
        total_bytes += found.size_bytes;
      }
    }
    // Without overlaps or gaps the tensors cover the data exactly.
    if (total_bytes != data_.size()) {
      fail(fmt::format(
          "holds {} bytes of data, its header describes {}",
          data_.size(),
          total_bytes));
    }
  }

  TensorMap read() const {
    TensorMap tensors;
    for (const auto& [name, entry] : entries_) {
      at::Tensor tensor =
          at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype));
      copy(entry, tensor);
      tensors.emplace(name, std::move(tensor));
    }
    return tensors;
  }

  void read(const TensorMap& into) const {
    Shapes shapes;
    for (const auto& [name, entry] : entries_) {
      shapes[name] = entry.shape;
    }
    check_match(shapes, into);
    for (const auto& [name, tensor] : into) {
      copy(entries_.at(name), tensor);
    }
  }

 private:
  struct Entry {
    at::ScalarType dtype = at::kFloat;
    std::vector<int64_t> shape;
    uint64_t begin = 0;
    uint64_t size_bytes = 0;
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(fmt::format(
        "[safetensors] {} {}. Restore the file.", path_.string(), what));
  }

  /// Piece by piece, so that few pages of the file are in memory at once.
  void copy(const Entry& entry, const at::Tensor& into) const {
    at::NoGradGuard no_grad;
    const int64_t width = static_cast<int64_t>(c10::elementSize(entry.dtype));
    at::Tensor flat = into.detach().view({-1});
    for (int64_t i = 0; i < flat.numel(); i += kPieceElements) {
      int64_t count = std::min(kPieceElements, flat.numel() - i);
      at::Tensor piece = at::empty({count}, entry.dtype);
      std::memcpy(
          piece.mutable_data_ptr(),
          data_.data() + entry.begin + i * width,
          static_cast<size_t>(count * width));
      flat.narrow(0, i, count).copy_(piece);
      file_.release_pages();
    }
  }

  Entry read_entry(const std::string& name, const io::Json& json) const {
    Entry entry;
    std::array<uint64_t, 2> offsets{};
    try {
      entry.shape = json.at("shape").get<std::vector<int64_t>>();
      offsets = json.at("data_offsets").get<std::array<uint64_t, 2>>();
      entry.dtype = parse_dtype(name, json.at("dtype").get<std::string>());
    } catch (const io::Json::exception& error) {
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

  at::ScalarType parse_dtype(const std::string& name, const std::string& dtype)
      const {
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
  std::map<std::string, Entry> entries_;
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

void load_safetensors(
    const std::filesystem::path& path,
    const TensorMap& into) {
  Reader(path).read(into);
}

void copy_tensors(const TensorMap& from, const TensorMap& into) {
  Shapes shapes;
  for (const auto& [name, tensor] : from) {
    shapes[name] = tensor.sizes().vec();
  }
  check_match(shapes, into);
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : into) {
    at::Tensor alias = tensor.detach();
    alias.copy_(from.at(name));
  }
}

} // namespace accrue
