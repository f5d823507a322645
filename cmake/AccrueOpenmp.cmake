# accrue::openmp, the OpenMP runtime that LibTorch itself uses: a second one
# would bring a second pool of threads, and both would spin on the same cores.
# Also part of the installed package.
if(TARGET accrue::openmp)
  return()
endif()
get_filename_component(_torch_lib "${Torch_DIR}/../../../lib" ABSOLUTE)
file(GLOB _openmp LIST_DIRECTORIES false
  "${_torch_lib}/libgomp*.so*" "${_torch_lib}/libiomp5*.so*")
add_library(accrue::openmp INTERFACE IMPORTED)
if(_openmp)
  list(GET _openmp 0 _openmp)
  set_property(TARGET accrue::openmp PROPERTY INTERFACE_LINK_LIBRARIES "${_openmp}")
else() # LibTorch uses the system's
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  set_property(TARGET accrue::openmp PROPERTY INTERFACE_LINK_LIBRARIES OpenMP::OpenMP_CXX)
endif()
