// SPDX-License-Identifier: Apache-2.0
#include "cli/data.h"

#include <ATen/Parallel.h>

namespace accrue::cli {

DataReader::DataReader(const ModelSource& source, const DataOptions& options)
    : options_(options),
      vocabulary_(open_vocabulary(source)),
      format_(vocabulary_, source.folder(), options.chat) {}

std::shared_ptr<const Corpus> DataReader::open(
    const std::vector<std::string>& paths,
    const ProgressCallback& tick) const {
  return std::make_shared<Corpus>(Corpus::open(
      {.paths = paths,
       .skip_bad_lines = options_.skip_bad_lines,
       .cache = default_cache(),
       .vocabulary = vocabulary_,
       .format = &format_,
       .preference = options_.preference,
       .seq_len = options_.seq_len,
       .too_long = options_.too_long,
       .threads = at::get_num_threads()},
      tick));
}

} // namespace accrue::cli
