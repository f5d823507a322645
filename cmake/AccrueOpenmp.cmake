# accrue::openmp, the OpenMP runtime that LibTorch itself uses: a second one
# would bring a second pool of threads, and both would spin on the same cores.
# Also part of the installed package.
if(TARGET accrue::openmp)
  return()
endif()
# Wheels and zips carry libgomp, an environment of conda one of the three.
file(GLOB _openmp LIST_DIRECTORIES false
  "${ACCRUE_TORCH_LIB}/libgomp*.so*")
if(NOT _openmp)
  file(GLOB _openmp LIST_DIRECTORIES false
    "${ACCRUE_TORCH_LIB}/libomp.so*" "${ACCRUE_TORCH_LIB}/libiomp5.so*")
endif()
set(ACCRUE_GNU_OPENMP TRUE)
if(_openmp MATCHES "libi?omp5?\\.so")
  set(ACCRUE_GNU_OPENMP FALSE)
endif()
add_library(accrue::openmp INTERFACE IMPORTED)
if(_openmp)
  list(GET _openmp 0 _openmp)
  set_property(TARGET accrue::openmp PROPERTY INTERFACE_LINK_LIBRARIES "${_openmp}")
else() # LibTorch uses the system's
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  set_property(TARGET accrue::openmp PROPERTY INTERFACE_LINK_LIBRARIES OpenMP::OpenMP_CXX)
endif()
