#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "io/files.h"

namespace accrue {

enum class Compression { kNone, kGzip, kZstd };

/// Decompresses a file, block by block, into a nameless file in `folder`, and
/// maps that: it takes room on the disk, not in memory. Several gzip members or
/// zstd frames one after another are one text. `progress` is told the bytes of
/// each compressed part that is done. Throws DataError if the data is damaged
/// or cut short, or goes on as something else.
io::MappedFile decompress(
    const std::filesystem::path& path,
    Compression compression,
    const std::filesystem::path& folder,
    const std::function<void(uint64_t bytes)>& progress = {});

} // namespace accrue
