# accrue_kernels(<room> SOURCES …)
#
# Adds sources to a room that are compiled once per instruction set, with
# ACCRUE_ISA as the namespace; kernels.cpp picks one when the program
# runs, the best or that of the environment's ACCRUE_ISA.
# They and the room use LibTorch's OpenMP runtime. The room's property
# ACCRUE_KERNEL_OBJECTS lists the objects, for tests/isa_symbols.py.

set(_kernel_flags
  -O3 -fno-math-errno -fno-trapping-math
  -Wno-psabi -Wno-maybe-uninitialized) # false alarms in GCC 12's intrinsics

function(accrue_kernels room)
  cmake_parse_arguments(KERNELS "" "" "SOURCES" ${ARGN})
  set(sets "baseline:")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    # Named, so that flags of the whole build do not make more of it.
    set(sets "baseline:-march=x86-64")
    list(APPEND sets
      "avx2:-march=x86-64-v3"
      "avx512:-march=x86-64-v4 -mprefer-vector-width=512"
      "avx512bf16:-march=x86-64-v4 -mavx512bf16 -mprefer-vector-width=512")
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(sets "neon:") # every such CPU has it
  endif()
  set(objects "")
  foreach(set IN LISTS sets)
    string(REGEX REPLACE ":.*" "" name "${set}")
    string(REGEX REPLACE "^[^:]*:" "" flags "${set}")
    separate_arguments(flags)
    set(target accrue_${room}_${name})
    add_library(${target} OBJECT ${KERNELS_SOURCES})
    target_include_directories(${target} PRIVATE
      ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(${target} PRIVATE ACCRUE_ISA=${name})
    target_compile_options(${target} PRIVATE ${_kernel_flags} ${flags} -fopenmp)
    target_link_libraries(${target} PRIVATE accrue_options)
    target_sources(accrue_${room} PRIVATE $<TARGET_OBJECTS:${target}>)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  set_property(TARGET accrue_${room} PROPERTY ACCRUE_KERNEL_OBJECTS "${objects}")
  target_compile_options(accrue_${room} PRIVATE -fopenmp)
  # The precompiled header is without -fopenmp.
  set_property(TARGET accrue_${room} PROPERTY DISABLE_PRECOMPILE_HEADERS ON)
  target_link_libraries(accrue_${room} PUBLIC accrue::openmp)
endfunction()
