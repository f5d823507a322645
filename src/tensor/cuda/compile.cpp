// SPDX-License-Identifier: Apache-2.0
#include "tensor/cuda/compile.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <vector>

#include "accrue/core/error.h"
#include "device/cuda_driver.h"

namespace accrue::tensor::cuda {
namespace {

namespace fs = std::filesystem;

/// Products are contracted only where a kernel says so, as on the CPU.
constexpr const char* kOptions[] = {"--std=c++17", "--fmad=false"};

/// FNV-1a (Fowler, Noll, Vo), 64 bits: finds accidental changes.
uint64_t hash_of(std::string_view text, uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

/// A program of NVRTC, destroyed with the object.
class Program {
 public:
  explicit Program(std::span<const KernelSource> sources) {
    std::vector<const char*> texts;
    std::vector<const char*> names;
    for (const KernelSource& header : sources.subspan(1)) {
      texts.push_back(header.text);
      names.push_back(header.name);
    }
    check(nvrtc_.create_program(
        &program_,
        sources[0].text,
        sources[0].name,
        static_cast<int>(texts.size()),
        texts.data(),
        names.data()));
  }
  ~Program() {
    nvrtc_.destroy_program(&program_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string compile(const std::string& architecture) {
    std::vector<const char*> options(std::begin(kOptions), std::end(kOptions));
    options.push_back(architecture.c_str());
    check(nvrtc_.compile_program(
        program_, static_cast<int>(options.size()), options.data()));
    size_t bytes = 0;
    check(nvrtc_.get_cubin_size(program_, &bytes));
    std::string cubin(bytes, '\0');
    check(nvrtc_.get_cubin(program_, cubin.data()));
    return cubin;
  }

 private:
  void check(int error) {
    if (error != 0) {
      throw Error(fmt::format(
          "[device] accrue's kernels must compile, and NVRTC says {}.\n{}",
          nvrtc_.get_error_string(error),
          log()));
    }
  }
  std::string log() {
    size_t bytes = 0;
    if (program_ == nullptr ||
        nvrtc_.get_program_log_size(program_, &bytes) != 0) {
      return "";
    }
    std::string text(bytes, '\0');
    nvrtc_.get_program_log(program_, text.data());
    return text.c_str(); // without the 0 at its end
  }

  const device::Nvrtc& nvrtc_ = device::nvrtc();
  device::NvrtcProgram program_ = nullptr;
};

std::string option_of(const Architecture& architecture) {
  return fmt::format(
      "--gpu-architecture=sm_{}{}", architecture.major, architecture.minor);
}

/// Name of a cached file: a hash of all that decides what is in it.
std::string file_name(
    std::span<const KernelSource> sources,
    const Architecture& architecture) {
  int major = 0;
  int minor = 0;
  device::nvrtc().version(&major, &minor);
  std::string key =
      fmt::format("{}.{} {}", major, minor, option_of(architecture));
  for (const char* option : kOptions) {
    key += fmt::format(" {}", option);
  }
  uint64_t hash = hash_of(key);
  for (const KernelSource& source : sources) {
    // The 0 at the end keeps a name and a text apart.
    hash =
        hash_of({source.name, std::string_view(source.name).size() + 1}, hash);
    hash =
        hash_of({source.text, std::string_view(source.text).size() + 1}, hash);
  }
  return fmt::format("{:016x}.cubin", hash);
}

/// Number of hex digits that follow a cubin in its file: its hash.
constexpr size_t kDigits = 16;

/// Returns a cached cubin, or "" if the file is missing or damaged.
std::string read_cubin(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.size() <= kDigits) {
    return "";
  }
  const std::string digits = text.substr(text.size() - kDigits);
  text.resize(text.size() - kDigits);
  return digits == fmt::format("{:016x}", hash_of(text)) ? text : "";
}

/// Writes beside the file and renames: other processes see all of it or
/// nothing.
void write_cubin(const fs::path& path, const std::string& cubin) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  const fs::path temporary = fmt::format("{}.{}", path.string(), getpid());
  {
    std::ofstream file(temporary, std::ios::binary);
    file << cubin << fmt::format("{:016x}", hash_of(cubin));
    file.close();
    if (file.good()) {
      fs::rename(temporary, path, ignored);
    }
  }
  fs::remove(temporary, ignored); // what a failure has left
}

} // namespace

std::string compile_kernels(
    std::span<const KernelSource> sources,
    const Architecture& architecture) {
  return Program(sources).compile(option_of(architecture));
}

fs::path kernel_cache() {
  const fs::path below = fs::path("accrue") / "kernels";
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') { // others are to be ignored
    return cache / below;
  }
  const char* home = std::getenv("HOME");
  return home != nullptr && *home != '\0' ? home / (".cache" / below)
                                          : fs::path();
}

std::string cached_kernels(
    std::span<const KernelSource> sources,
    const Architecture& architecture,
    const fs::path& cache) {
  if (cache.empty()) {
    return compile_kernels(sources, architecture);
  }
  const fs::path path = cache / file_name(sources, architecture);
  std::string cubin = read_cubin(path);
  if (cubin.empty()) {
    cubin = compile_kernels(sources, architecture);
    write_cubin(path, cubin);
  }
  return cubin;
}

} // namespace accrue::tensor::cuda
