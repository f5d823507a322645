// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <zlib.h>
#include <zstd.h>

#include <csignal>
#include <filesystem>
#include <vector>

#include "accrue/core/error.h"
#include "input.h"
#include "text/decompress.h"

namespace {

using accrue::Compression;
using Bytes = std::vector<uint8_t>;

/// The text in a file of these bytes, read back.
Bytes decompressed(const Bytes& bytes, Compression compression) {
  std::string path =
      accrue::fuzz::write_input(bytes.data(), bytes.size(), "data.gz");
  auto folder = std::filesystem::path(path).parent_path();
  auto file = accrue::decompress(path, compression, folder);
  auto begin = reinterpret_cast<const uint8_t*>(file.bytes().data());
  return {begin, begin + file.bytes().size()};
}

Bytes gzip(const Bytes& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  Bytes bytes(deflateBound(&stream, text.size()));
  stream.next_in = const_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = bytes.data();
  stream.avail_out = static_cast<uInt>(bytes.size());
  deflate(&stream, Z_FINISH);
  bytes.resize(bytes.size() - stream.avail_out);
  deflateEnd(&stream);
  return bytes;
}

Bytes zstd(const Bytes& text) {
  Bytes bytes(ZSTD_compressBound(text.size()));
  bytes.resize(
      ZSTD_compress(bytes.data(), bytes.size(), text.data(), text.size(), 3));
  return bytes;
}

/// Files of 16 KiB that would become half a GiB are refused early.
void limit_files() {
  const rlimit limit{.rlim_cur = 64 << 20, .rlim_max = 64 << 20};
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, SIG_IGN); // an error of write() instead
}

} // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  limit_files();
  return 0;
}

/// Any bytes are decompressed or refused with a DataError; what was compressed,
/// in one part or two, comes back.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input(data, data + size);
  for (auto compression : {Compression::kGzip, Compression::kZstd}) {
    try {
      decompressed(input, compression);
    } catch (const accrue::DataError&) {}
    auto compress = compression == Compression::kGzip ? gzip : zstd;
    Bytes bytes = compress(input);
    const Bytes again = compress(input);
    bytes.insert(bytes.end(), again.begin(), again.end());
    Bytes twice = input;
    twice.insert(twice.end(), input.begin(), input.end());
    if (decompressed(bytes, compression) != twice) {
      std::abort();
    }
  }
  return 0;
}
