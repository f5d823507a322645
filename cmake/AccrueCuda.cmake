# accrue_cuda_limit(<limit>)
#
# Sets <limit> to whether the order of functions that device/cuda_memory.cpp
# declares is that of LibTorch's allocator, 1 or 0. No part of CUDA is needed.
function(accrue_cuda_limit limit)
  set(${limit} 0 PARENT_SCOPE)
  set(names "")
  set(header ${ACCRUE_TORCH_LIB}/../include/c10/cuda/CUDACachingAllocator.h)
  if(EXISTS ${header})
    file(READ ${header} text)
    # Pure functions, up to the first one with a body.
    string(REGEX MATCH "class CUDAAllocator : public DeviceAllocator {[^{}]*"
           text "${text}")
    string(REGEX MATCHALL "virtual [^;]*" functions "${text}")
    string(REGEX MATCHALL "[A-Za-z_]+\\([^)]*" names "${functions}")
    string(REGEX REPLACE "[(][^;]*" "" names "${names}")
  endif()
  if("${names}" MATCHES
     "^raw_alloc;raw_alloc_with_stream;raw_delete;init;getMemoryFraction;setMemoryFraction(;|$)")
    set(${limit} 1 PARENT_SCOPE)
  else()
    message(STATUS "accrue: budgets on CUDA are planned, not enforced: "
                   "LibTorch's allocator is not one that is known")
  endif()
endfunction()
