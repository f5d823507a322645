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

/// Writes `path` so that readers see the old file or the whole new one: into
/// a temporary beside it, fsync, rename. Abandoned without commit(), it leaves
/// nothing behind. Throws DataError with the system's reason.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Flushes, syncs and renames.
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

  /// Lets go of the pages read so far, which otherwise count as memory of the
  /// process. They can still be read.
  void release_pages() const;

 private:
  friend class TemporaryFile;
  MappedFile(int fd, const std::filesystem::path& path);

  std::span<const std::byte> bytes_;
};

/// A file without a name, which is gone when nobody has it open or mapped.
/// Throws DataError with the system's reason.
class TemporaryFile {
 public:
  /// On the disk of `folder`, which must exist.
  explicit TemporaryFile(const std::filesystem::path& folder);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::span<const std::byte> bytes);

  /// What has been written.
  MappedFile map() const;

 private:
  std::filesystem::path path_; // for messages
  int fd_ = -1;
};

/// Calls use(bytes) for all bytes of a file, in blocks of 1 MiB of which only
/// the last may be shorter. Read, not mapped: mapped pages would count as
/// memory of the process. Throws DataError if the file can't be read.
void read_blocks(
    const std::filesystem::path& path,
    const std::function<void(std::span<const std::byte>)>& use);

/// Throws DataError if the file can't be read.
std::string read_file(const std::filesystem::path& path);

/// FileWriter in one call.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Appends to a file, which is made if it isn't there, in one write as far as
/// the system does so. Throws DataError with the system's reason.
void append_file(const std::filesystem::path& path, std::string_view text);

/// Digest of a file as it is on disk.
Digest digest_file(const std::filesystem::path& path);

/// "SIZE:CRC", the CRC in hex.
std::string to_text(const Digest& digest);

/// Makes a rename or a new entry in `directory` survive a power cut.
void sync_directory(const std::filesystem::path& directory);

/// create_directories with a DataError that says why not.
void make_directory(const std::filesystem::path& directory);

/// Makes `folder` anew with what write(temporary folder) puts there: readers
/// see the old one or the whole new one at any time, and so does who comes
/// after a crash. An exception leaves the old one.
void replace_directory(
    const std::filesystem::path& folder,
    const std::function<void(const std::filesystem::path& temporary)>& write);

} // namespace accrue::io
