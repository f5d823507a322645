// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "io/files.h"

namespace accrue {

enum class Compression { kNone, kGzip, kZstd };

/// Decompresses a file into a nameless file in `folder` and maps the latter,
/// which takes space on the disk instead of memory. Several gzip members or
/// zstd frames are joined. Calls progress(bytes) with the compressed bytes of
/// each block. Throws DataError if the data is damaged, truncated or followed
/// by anything else.
io::MappedFile decompress(
    const std::filesystem::path& path,
    Compression compression,
    const std::filesystem::path& folder,
    const std::function<void(uint64_t bytes)>& progress = {});

} // namespace accrue
