// SPDX-License-Identifier: Apache-2.0
#include "text/decompress.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "accrue/core/error.h"

namespace accrue {
namespace {

namespace fs = std::filesystem;

constexpr size_t kOutBytes = size_t{1} << 20;

using Bytes = std::span<const std::byte>;

[[noreturn]] void fail_decompressing(
    const fs::path& path,
    const std::string& what) {
  throw DataError(fmt::format("[data] {} {}", path.string(), what));
}

[[noreturn]] void fail_damaged(
    const fs::path& path,
    const char* format,
    const char* reason) {
  fail_decompressing(
      path,
      fmt::format(
          "is damaged or not {} data ({}). Fetch or write the file again.",
          format,
          reason));
}

/// Turns blocks of compressed bytes into blocks of text.
class Decompressor {
 public:
  explicit Decompressor(const fs::path& path, io::TemporaryFile& out)
      : path_(path), out_(out), buffer_(kOutBytes) {}
  virtual ~Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  virtual void add(Bytes block) = 0;

  void finish() const {
    if (!complete_) {
      fail_decompressing(path_, "is cut short. Fetch or write the file again.");
    }
  }

 protected:
  void put(size_t size_bytes) {
    out_.write(Bytes(buffer_.data(), size_bytes));
  }

  const fs::path& path_;
  io::TemporaryFile& out_;
  std::vector<std::byte> buffer_;
  bool complete_ = false; // not within a member or frame
};

class Gunzip final : public Decompressor {
 public:
  Gunzip(const fs::path& path, io::TemporaryFile& out)
      : Decompressor(path, out) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) { // gzip, not zlib
      throw std::bad_alloc();
    }
  }
  ~Gunzip() override {
    inflateEnd(&stream_);
  }

  void add(Bytes block) override {
    // The cast is safe: zlib does not change its input.
    stream_.next_in =
        const_cast<Bytef*>(reinterpret_cast<const Bytef*>(block.data()));
    stream_.avail_in = static_cast<uInt>(block.size());
    do {
      if (complete_) {
        skip_padding();
        if (stream_.avail_in == 0) {
          return;
        }
        inflateReset(&stream_);
        complete_ = false;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      int code = inflate(&stream_, Z_NO_FLUSH);
      if (code == Z_MEM_ERROR) {
        throw std::bad_alloc();
      }
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        fail_damaged(
            path_, "gzip", stream_.msg != nullptr ? stream_.msg : zError(code));
      }
      put(buffer_.size() - stream_.avail_out);
      complete_ = code == Z_STREAM_END;
    } while (stream_.avail_in > 0 || stream_.avail_out == 0);
  }

 private:
  /// Skips zeros, which fill the last block of a tape or an archive.
  void skip_padding() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
  }

  z_stream stream_{};
};

class Unzstd final : public Decompressor {
 public:
  Unzstd(const fs::path& path, io::TemporaryFile& out)
      : Decompressor(path, out), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) {
      throw std::bad_alloc();
    }
  }

  void add(Bytes block) override {
    ZSTD_inBuffer in{block.data(), block.size(), 0};
    ZSTD_outBuffer out{};
    do {
      out = {buffer_.data(), buffer_.size(), 0};
      const size_t rest = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_getErrorCode(rest) == ZSTD_error_frameParameter_windowTooLarge) {
        fail_decompressing(
            path_,
            fmt::format(
                "was compressed with --long, which takes more than 128 MiB of "
                "memory. Decompress it: zstd -d --long=31 {}",
                path_.string()));
      }
      if (ZSTD_isError(rest) != 0) {
        fail_damaged(path_, "zstd", ZSTD_getErrorName(rest));
      }
      put(out.pos);
      complete_ = rest == 0;
    } while (in.pos < in.size || (!complete_ && out.pos == out.size));
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const {
      ZSTD_freeDStream(stream);
    }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_;
};

} // namespace

io::MappedFile decompress(
    const fs::path& path,
    Compression compression,
    const fs::path& folder,
    const std::function<void(uint64_t bytes)>& progress) {
  io::TemporaryFile out(folder);
  std::unique_ptr<Decompressor> decompressor;
  if (compression == Compression::kGzip) {
    decompressor = std::make_unique<Gunzip>(path, out);
  } else {
    decompressor = std::make_unique<Unzstd>(path, out);
  }
  io::read_blocks(path, [&](Bytes block) {
    decompressor->add(block);
    if (progress) {
      progress(block.size());
    }
  });
  decompressor->finish();
  return out.map();
}

} // namespace accrue
