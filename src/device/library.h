// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dlfcn.h>

#include <filesystem>
#include <string>

// Shared libraries that are loaded while the program runs.

namespace accrue::device {

/// Loads a library, which stays loaded. Returns null if it can't be loaded; the
/// reason is in load_error().
inline void* load_library(const std::string& name, int flags = RTLD_LOCAL) {
  return dlopen(name.c_str(), RTLD_NOW | flags);
}

/// Reason of the last failure of load_library.
inline std::string load_error() {
  const char* error = dlerror();
  return error != nullptr ? error : "no reason given";
}

/// Points `function` to a function of a library, or to null if the library does
/// not have it.
template <class F>
void find_function(F*& function, void* library, const char* name) {
  function = reinterpret_cast<F*>(dlsym(library, name));
}

/// Folder of the LibTorch that this process runs with.
std::filesystem::path torch_folder();

/// Whether LibTorch's CUDA half is in this process.
bool cuda_is_loaded();

} // namespace accrue::device
