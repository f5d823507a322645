// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "accrue/core/error.h"
#include "device/cuda.h"
#include "device/cuda_driver.h"
#include "device/library.h"
#include "device/memory.h"
#include "tensor/cuda/compile.h"

// CUDA devices as far as they need no GPU: most machines that run these tests
// have neither a GPU nor a driver.

namespace accrue {
namespace {

namespace fs = std::filesystem;
using tensor::cuda::Architecture;
using tensor::cuda::cached_kernels;
using tensor::cuda::compile_kernels;
using tensor::cuda::KernelSource;

/// Message of the ConfigError that `call` throws; "" if it throws none.
std::string config_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Why NVRTC can't be used here; "" if it can.
std::string no_nvrtc() {
  return config_error([] { device::nvrtc(); });
}

constexpr std::array<KernelSource, 2> kSources = {
    KernelSource{
        "main.cu",
        "#include \"twice.cuh\"\n"
        "extern \"C\" __global__ void twice_all(float* x, int n) {\n"
        "  int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
        "  if (i < n) x[i] = twice(x[i]);\n"
        "}\n"},
    KernelSource{
        "twice.cuh",
        "__device__ inline float twice(float x) { return 2 * x; }\n"}};

constexpr Architecture kHopper{9, 0};

class CudaKernelCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = no_nvrtc(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
    folder_ = fs::path(testing::TempDir()) /
        ("accrue_kernels_" + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override {
    fs::remove_all(folder_);
  }

  /// The one file in the cache.
  fs::path file() const {
    const auto begin = fs::directory_iterator(folder_);
    EXPECT_EQ(std::distance(begin, fs::directory_iterator()), 1);
    return fs::directory_iterator(folder_)->path();
  }

  fs::path folder_;
};

TEST(CudaDeviceTest, OpeningWithoutOneSaysWhatIsMissing) {
  const std::string error = config_error([] { device::open_cuda(0); });
  if (error.empty()) {
    GTEST_SKIP() << "this machine has a CUDA device";
  }
  EXPECT_TRUE(error.starts_with("[device] ")) << error;
  if (contains(error, "2.11")) {
    return; // LibTorch is too old
  }
  const bool cuda_build =
      fs::exists(device::torch_folder() / "libtorch_cuda.so");
  EXPECT_TRUE(contains(error, cuda_build ? "driver" : "is a CPU build"))
      << error;
  EXPECT_TRUE(contains(error, "--device out")) << error;
}

TEST(CudaDeviceTest, DriverIsNamedWhenMissing) {
  const std::string error = config_error([] { device::cuda_driver(); });
  if (error.empty()) {
    GTEST_SKIP() << "this machine has a driver";
  }
  EXPECT_TRUE(contains(error, "libcuda.so.1")) << error;
}

TEST(CudaDeviceTest, MemoryOfAClosedDeviceIsRefused) {
  if (device::cuda_is_loaded()) {
    GTEST_SKIP() << "LibTorch's CUDA half is loaded";
  }
  const c10::Device device(c10::DeviceType::CUDA, 0);
  EXPECT_TRUE(config_error([&] {
                device::memory_of(device);
              }).starts_with("[device] "));
}

TEST(CudaDeviceTest, MemoryOfOtherDevicesIsRefused) {
  const c10::Device device(c10::DeviceType::Meta);
  EXPECT_TRUE(config_error([&] {
                device::memory_of(device);
              }).starts_with("[memory] "));
}

TEST_F(CudaKernelCacheTest, CompilesForEveryGeneration) {
  for (const Architecture& architecture :
       {Architecture{8, 0}, Architecture{8, 9}, kHopper}) {
    const std::string cubin = compile_kernels(kSources, architecture);
    EXPECT_TRUE(cubin.starts_with("\177ELF"));
    EXPECT_TRUE(contains(cubin, "twice_all"));
  }
}

TEST_F(CudaKernelCacheTest, ErrorsNameFileAndLine) {
  const std::array<KernelSource, 1> wrong = {
      KernelSource{"wrong.cu", "\n__global__ void f() { undeclared(); }\n"}};
  try {
    compile_kernels(wrong, kHopper);
    FAIL() << "compiled";
  } catch (const Error& error) {
    EXPECT_TRUE(contains(error.what(), "wrong.cu(2)")) << error.what();
    EXPECT_TRUE(contains(error.what(), "undeclared")) << error.what();
  }
}

TEST_F(CudaKernelCacheTest, SecondCallReadsTheFile) {
  const std::string cubin = cached_kernels(kSources, kHopper, folder_);
  const auto written = fs::last_write_time(file());
  EXPECT_EQ(cached_kernels(kSources, kHopper, folder_), cubin);
  EXPECT_EQ(fs::last_write_time(file()), written);
}

TEST_F(CudaKernelCacheTest, OtherSourcesAndArchitecturesHaveFilesOfTheirOwn) {
  cached_kernels(kSources, kHopper, folder_);
  cached_kernels(kSources, {8, 0}, folder_);
  auto changed = kSources;
  changed[1].text =
      "__device__ inline float twice(float x) { return x + x; }\n";
  cached_kernels(changed, kHopper, folder_);
  EXPECT_EQ(
      std::distance(fs::directory_iterator(folder_), fs::directory_iterator()),
      3);
}

TEST_F(CudaKernelCacheTest, DamagedFilesAreWrittenAgain) {
  const std::string cubin = cached_kernels(kSources, kHopper, folder_);
  const fs::path path = file();
  const auto size = fs::file_size(path);
  const auto check = [&] {
    EXPECT_EQ(cached_kernels(kSources, kHopper, folder_), cubin);
    EXPECT_EQ(fs::file_size(file()), size);
  };
  fs::resize_file(path, 0);
  check();
  fs::resize_file(path, size / 2);
  check();
  std::fstream(path, std::ios::in | std::ios::out).seekp(100).put('\1');
  check();
}

TEST_F(CudaKernelCacheTest, CacheThatCannotBeWrittenIsNoError) {
  std::ofstream(folder_) << "a file where the folder would be";
  EXPECT_TRUE(
      cached_kernels(kSources, kHopper, folder_).starts_with("\177ELF"));
  EXPECT_TRUE(cached_kernels(kSources, kHopper, {}).starts_with("\177ELF"));
}

} // namespace
} // namespace accrue
