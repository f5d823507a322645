// SPDX-License-Identifier: Apache-2.0
#include "accrue/core/error.h"
#include "accrue/models/config.h"
#include "input.h"

/// A config.json is understood or refused with a DataError.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string path = accrue::fuzz::write_input(data, size, "config.json");
  try {
    accrue::read_model_config(path).num_parameters();
  } catch (const accrue::DataError&) {}
  return 0;
}
