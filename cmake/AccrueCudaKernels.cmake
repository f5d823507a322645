# accrue_embed_cuda_kernels(<target>)
#
# Adds to a target a source, generated when CMake runs, that has the texts of
# src/tensor/cuda/kernels: kernel_sources() of tensor/cuda/kernel_sources.h.
# CMake runs again when one of them changes.

set(_accrue_cuda_kernels ${CMAKE_CURRENT_LIST_DIR}/../src/tensor/cuda/kernels)

function(accrue_embed_cuda_kernels target)
  file(GLOB headers CONFIGURE_DEPENDS ${_accrue_cuda_kernels}/*.cuh)
  set(entries "")
  foreach(path IN ITEMS ${_accrue_cuda_kernels}/kernels.cu ${headers})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(READ ${path} text)
    string(LENGTH "${text}" length)
    if(length GREATER 65000) # some compilers' limit of a literal
      message(FATAL_ERROR "${path} has ${length} bytes. Split it.")
    endif()
    cmake_path(GET path FILENAME name)
    string(APPEND entries "    {\"${name}\", R\"accrue(${text})accrue\"},\n")
  endforeach()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/cuda_kernel_sources.cpp)
  # Written only if it changes.
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"tensor/cuda/kernel_sources.h\"

namespace accrue::tensor::cuda {
namespace {

constexpr KernelSource kSources[] = {
${entries}};

} // namespace

std::span<const KernelSource> kernel_sources() {
  return kSources;
}

} // namespace accrue::tensor::cuda
")
  target_sources(${target} PRIVATE ${source})
endfunction()
