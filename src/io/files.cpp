// SPDX-License-Identifier: Apache-2.0
#include "io/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "accrue/core/error.h"

namespace accrue::io {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

[[noreturn]] void fail(const char* verb, const std::filesystem::path& path) {
  int code = errno;
  throw DataError(fmt::format(
      "[io] cannot {} {}: {}.{}",
      verb,
      path.string(),
      std::strerror(code),
      code == ENOSPC || code == EDQUOT
          ? " Free some space and run again; --resume continues a run with "
            "checkpoints."
          : ""));
}

/// A file open for reading.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) {
      fail("read", path);
    }
  }
  ~OpenFile() {
    ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int fd() const {
    return fd_;
  }

  /// Fills `buffer` unless the file ends before. Returns the number of bytes
  /// read.
  size_t read(std::span<std::byte> buffer) {
    size_t filled = 0;
    while (filled < buffer.size()) {
      ssize_t got = ::read(fd_, buffer.data() + filled, buffer.size() - filled);
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        fail("read", path_);
      }
      if (got == 0) {
        break;
      }
      filled += static_cast<size_t>(got);
    }
    return filled;
  }

 private:
  const std::filesystem::path& path_;
  int fd_;
};

void write_all(
    int fd,
    std::string_view rest,
    const std::filesystem::path& path) {
  while (!rest.empty()) {
    ssize_t written = ::write(fd, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      fail("write", path);
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

FileWriter::FileWriter(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_) {
  temporary_ += fmt::format(".tmp{}", ::getpid());
  fd_ = ::open(
      temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) {
    fail("write", temporary_);
  }
  buffer_.reserve(kBufferBytes);
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) {
    ::close(fd_);
    ::unlink(temporary_.c_str());
  }
}

void FileWriter::write(std::string_view text) {
  while (!text.empty()) {
    size_t part = std::min(text.size(), kBufferBytes - buffer_.size());
    buffer_.append(text.substr(0, part));
    text.remove_prefix(part);
    if (buffer_.size() == kBufferBytes) {
      flush();
    }
  }
}

void FileWriter::write(std::span<const std::byte> bytes) {
  write(as_text(bytes));
}

void FileWriter::flush() {
  write_all(fd_, buffer_, temporary_);
  buffer_.clear();
}

void FileWriter::commit() {
  flush();
  if (::fsync(fd_) != 0) {
    fail("sync", temporary_);
  }
  int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    int code = errno;
    ::unlink(temporary_.c_str());
    errno = code;
    fail("write", path_);
  }
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  OpenFile file(path);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw DataError(
        fmt::format("[io] {} is not a regular file.", path.string()));
  }
  *this = MappedFile(file.fd(), path);
}

MappedFile::MappedFile(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    fail("read", path);
  }
  auto size = static_cast<size_t>(info.st_size);
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      fail("map", path);
    }
    bytes_ = {static_cast<const std::byte*>(data), size};
  }
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

void MappedFile::release_pages() const {
  // All pages are dropped, because the kernel maps pages around each one that
  // is touched. They are unmodified, so that nothing can be lost and the result
  // need not be checked.
  madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

TemporaryFile::TemporaryFile(const std::filesystem::path& folder)
    : path_(folder / "temporary-XXXXXX") {
  std::string name = path_.string();
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) {
    fail("write", path_);
  }
  ::unlink(name.c_str());
}

TemporaryFile::~TemporaryFile() {
  ::close(fd_);
}

void TemporaryFile::write(std::span<const std::byte> bytes) {
  write_all(fd_, as_text(bytes), path_);
}

MappedFile TemporaryFile::map() const {
  return MappedFile(fd_, path_);
}

std::string read_file(const std::filesystem::path& path) {
  MappedFile file(path);
  return std::string(as_text(file.bytes()));
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  FileWriter writer(path);
  writer.write(text);
  writer.commit();
}

void append_file(const std::filesystem::path& path, std::string_view text) {
  int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    fail("write", path);
  }
  try {
    write_all(fd, text, path);
  } catch (...) {
    ::close(fd);
    throw;
  }
  if (::close(fd) != 0) {
    fail("write", path);
  }
}

std::string to_text(const Digest& digest) {
  return fmt::format("{}:{:08x}", digest.size_bytes, digest.crc32);
}

void read_blocks(
    const std::filesystem::path& path,
    const std::function<void(std::span<const std::byte>)>& use) {
  OpenFile file(path);
  std::vector<std::byte> buffer(kBufferBytes);
  size_t filled = 0;
  do {
    filled = file.read(buffer);
    if (filled > 0) {
      use({buffer.data(), filled});
    }
  } while (filled == buffer.size());
}

Digest digest_file(const std::filesystem::path& path) {
  Digest digest;
  read_blocks(path, [&](std::span<const std::byte> block) {
    digest.size_bytes += block.size();
    digest.crc32 = static_cast<uint32_t>(crc32_z(
        digest.crc32,
        reinterpret_cast<const Bytef*>(block.data()),
        block.size()));
  });
  return digest;
}

void sync_directory(const std::filesystem::path& directory) {
  int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || ::fsync(fd) != 0) {
    int code = errno;
    if (fd >= 0) {
      ::close(fd);
    }
    errno = code;
    fail("sync", directory);
  }
  ::close(fd);
}

void make_directory(const std::filesystem::path& directory) {
  std::error_code code;
  std::filesystem::create_directories(directory, code);
  if (code || !std::filesystem::is_directory(directory)) {
    throw DataError(fmt::format(
        "[io] cannot create the folder {}: {}.",
        directory.string(),
        code ? code.message() : "a file is in the way"));
  }
}

void replace_directory(
    const std::filesystem::path& folder,
    const std::function<void(const std::filesystem::path&)>& write) {
  namespace fs = std::filesystem;
  const fs::path temporary =
      folder.parent_path() / fmt::format(".{}.tmp", folder.filename().string());
  try {
    fs::remove_all(temporary);
    make_directory(temporary);
    write(temporary);
    sync_directory(temporary);
    if (!fs::exists(folder)) {
      fs::rename(temporary, folder);
    } else if (
        ::renameat2(
            AT_FDCWD,
            temporary.c_str(),
            AT_FDCWD,
            folder.c_str(),
            RENAME_EXCHANGE) != 0) {
      // On a file system that can't exchange, for a moment there is neither
      // folder.
      fs::remove_all(folder);
      fs::rename(temporary, folder);
    }
    sync_directory(folder.parent_path());
    fs::remove_all(temporary); // now holds the old folder
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

} // namespace accrue::io
