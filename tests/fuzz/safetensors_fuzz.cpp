// SPDX-License-Identifier: Apache-2.0
#include <c10/util/Exception.h>

#include "accrue/core/error.h"
#include "accrue/io/safetensors.h"
#include "input.h"

/// A file is read whole or refused with a DataError.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string path = accrue::fuzz::write_input(data, size, "model.safetensors");
  try {
    accrue::load_safetensors(path);
  } catch (const accrue::DataError&) {}
  return 0;
}
