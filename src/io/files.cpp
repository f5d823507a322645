#include "io/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

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
          ? " Free some space and run again; a run with checkpoints goes on "
            "with --resume."
          : ""));
}

int open_for_reading(const std::filesystem::path& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    fail("read", path);
  }
  return fd;
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
  write(std::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void FileWriter::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      fail("write", temporary_);
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
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
  int fd = open_for_reading(path);
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    throw DataError(
        fmt::format("[io] {} is not a regular file.", path.string()));
  }
  auto size = static_cast<size_t>(info.st_size);
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      int code = errno;
      ::close(fd);
      errno = code;
      fail("map", path);
    }
    bytes_ = {static_cast<const std::byte*>(data), size};
  }
  ::close(fd);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

void MappedFile::release_pages() const {
  // All of them: the kernel maps pages around each one that is touched. They
  // are clean, so nothing can be lost and nothing is checked.
  madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::string read_file(const std::filesystem::path& path) {
  MappedFile file(path);
  auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  FileWriter writer(path);
  writer.write(text);
  writer.commit();
}

std::string to_text(const Digest& digest) {
  return fmt::format("{}:{:08x}", digest.size_bytes, digest.crc32);
}

Digest digest_file(const std::filesystem::path& path) {
  // Read, not mapped: mapped pages would count as memory of the process.
  int fd = open_for_reading(path);
  std::string buffer(kBufferBytes, '\0');
  Digest digest;
  ssize_t got = 0;
  while ((got = ::read(fd, buffer.data(), buffer.size())) > 0) {
    auto size = static_cast<size_t>(got);
    auto data = reinterpret_cast<const Bytef*>(buffer.data());
    digest.size_bytes += size;
    digest.crc32 = static_cast<uint32_t>(crc32_z(digest.crc32, data, size));
  }
  int code = errno;
  ::close(fd);
  if (got < 0) {
    errno = code;
    fail("read", path);
  }
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

} // namespace accrue::io
