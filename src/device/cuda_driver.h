// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// NVIDIA's driver (libcuda.so.1) and its compiler for run time (NVRTC), as far
// as accrue calls them. Both are loaded while the program runs, and their types
// are declared here: accrue is built without CUDA's headers and libraries. A
// function returns 0 for success, an error number otherwise.

namespace accrue::device {

using CudaContext = struct CudaContextHandle*;
using CudaModule = struct CudaModuleHandle*;
using CudaFunction = struct CudaFunctionHandle*;
using CudaStream = struct CudaStreamHandle*; // null: the default stream
using NvrtcProgram = struct NvrtcProgramHandle*;

/// Attributes of a device (CUdevice_attribute).
inline constexpr int kMultiprocessors = 16;
inline constexpr int kComputeMajor = 75;
inline constexpr int kComputeMinor = 76;

/// Identity of a device, the same in all of NVIDIA's libraries (CUuuid).
struct CudaUuid {
  unsigned char bytes[16];
};

/// Functions of the driver. A device is known by the driver's number for it.
struct CudaDriver {
  int (*init)(unsigned flags);
  int (*driver_get_version)(int* version); // 1000 * major + 10 * minor
  int (*device_get_count)(int* count);
  int (*device_get)(int* device, int index);
  int (*device_get_name)(char* name, int bytes, int device);
  int (*device_get_attribute)(int* value, int attribute, int device);
  int (*device_total_mem)(size_t* bytes, int device);
  int (*device_get_uuid)(CudaUuid* uuid, int device);
  int (*primary_context_retain)(CudaContext* context, int device);
  int (*context_set_current)(CudaContext context);
  int (*context_get_current)(CudaContext* context);
  int (*module_load_data)(CudaModule* module, const void* image);
  int (*module_get_function)(
      CudaFunction* function,
      CudaModule module,
      const char* name);
  /// Null in drivers before CUDA 12.4.
  int (*function_get_parameter)(
      CudaFunction function,
      size_t index,
      size_t* offset,
      size_t* size);
  int (*launch_kernel)(
      CudaFunction function,
      unsigned grid_x,
      unsigned grid_y,
      unsigned grid_z,
      unsigned block_x,
      unsigned block_y,
      unsigned block_z,
      unsigned shared_bytes,
      CudaStream stream,
      void** arguments,
      void** extra);
  int (*memory_get_info)(size_t* free_bytes, size_t* total_bytes);
  int (*get_error_name)(int error, const char** name);
  int (*get_error_string)(int error, const char** text);

  /// Text of an error number: "CUDA_ERROR_NO_DEVICE (no CUDA-capable device is
  /// detected)".
  std::string describe(int error) const;
  /// Throws Error that names `what` and the driver's text unless `error` is 0.
  void check(int error, std::string_view what) const;
};

/// Loads and starts the driver, once. Throws ConfigError if there is none or it
/// does not start.
const CudaDriver& cuda_driver();

/// Functions of NVRTC.
struct Nvrtc {
  int (*version)(int* major, int* minor);
  int (*create_program)(
      NvrtcProgram* program,
      const char* source,
      const char* name,
      int headers,
      const char* const* header_texts,
      const char* const* header_names);
  int (*compile_program)(
      NvrtcProgram program,
      int options,
      const char* const* option_texts);
  int (*get_cubin_size)(NvrtcProgram program, size_t* bytes);
  int (*get_cubin)(NvrtcProgram program, char* cubin);
  int (*get_program_log_size)(NvrtcProgram program, size_t* bytes);
  int (*get_program_log)(NvrtcProgram program, char* log);
  int (*destroy_program)(NvrtcProgram* program);
  const char* (*get_error_string)(int error);
};

/// Loads NVRTC, once: the one that LibTorch has loaded, else the one beside
/// LibTorch, else the system's. Throws ConfigError that lists the places.
const Nvrtc& nvrtc();

} // namespace accrue::device
