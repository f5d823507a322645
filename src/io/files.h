// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace accrue::io {

/// Size and CRC-32 (zlib's polynomial) of a file's bytes.
struct Digest {
  uint64_t size_bytes = 0;
  uint32_t crc32 = 0;
  bool operator==(const Digest&) const = default;
};

/// Writes a file so that readers of `path` see the old file or the whole new
/// one: the bytes go to a temporary file beside it, which is synced and
/// renamed. Without commit() nothing is left behind. Throws DataError with the
/// system's reason.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Flushes, syncs and renames the temporary file.
  void commit();

 private:
  void flush();

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  std::string buffer_;
};

/// A whole file mapped read-only.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const {
    return bytes_;
  }

  /// Releases the pages read so far, which otherwise count as memory of the
  /// process. The bytes can still be read.
  void release_pages() const;

 private:
  friend class TemporaryFile;
  MappedFile(int fd, const std::filesystem::path& path);

  std::span<const std::byte> bytes_;
};

/// A file without a name. The system deletes it once nobody has it open or
/// mapped. Throws DataError with the system's reason.
class TemporaryFile {
 public:
  /// Creates the file on the disk of `folder`, which must exist.
  explicit TemporaryFile(const std::filesystem::path& folder);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::span<const std::byte> bytes);

  /// Maps the bytes written so far.
  MappedFile map() const;

 private:
  std::filesystem::path path_; // for messages
  int fd_ = -1;
};

/// Calls use(bytes) for all bytes of a file, in blocks of 1 MiB; only the last
/// may be shorter. The file is read instead of mapped, because mapped pages
/// would count as memory of the process. Throws DataError if the file can't be
/// read.
void read_blocks(
    const std::filesystem::path& path,
    const std::function<void(std::span<const std::byte>)>& use);

/// Returns the contents of a file. Throws DataError if the file can't be read.
std::string read_file(const std::filesystem::path& path);

/// Writes a whole file with a FileWriter.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Appends to a file, which is created if it does not exist, with a single
/// write() if the system accepts all bytes at once. Throws DataError with the
/// system's reason.
void append_file(const std::filesystem::path& path, std::string_view text);

/// Digest of a file as it is on disk.
Digest digest_file(const std::filesystem::path& path);

/// Writes a digest as "SIZE:CRC", the CRC in hex.
std::string to_text(const Digest& digest);

/// Makes a rename or a new entry in `directory` survive a power failure.
void sync_directory(const std::filesystem::path& directory);

/// Creates a directory and those above it. Throws DataError with the reason if
/// it can't.
void make_directory(const std::filesystem::path& directory);

/// Replaces `folder` by what write(temporary) puts into a temporary folder.
/// Readers see the old folder or the whole new one at any time, even after a
/// crash. After an exception the old folder is still there.
void replace_directory(
    const std::filesystem::path& folder,
    const std::function<void(const std::filesystem::path& temporary)>& write);

} // namespace accrue::io
