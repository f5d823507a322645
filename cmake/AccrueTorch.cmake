# The only place that knows where LibTorch comes from.
find_package(Torch CONFIG QUIET)
if(NOT Torch_FOUND)
  message(FATAL_ERROR
    "LibTorch not found. Run ./dev build, which installs it, or point to one:\n"
    "  -DCMAKE_PREFIX_PATH=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)')\n"
    "  -DCMAKE_PREFIX_PATH=/path/to/libtorch")
endif()
if(Torch_VERSION VERSION_LESS 2.6)
  message(FATAL_ERROR
    "LibTorch >= 2.6 needed, found ${Torch_VERSION} in ${Torch_DIR}.")
endif()
if(TORCH_CXX_FLAGS MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
  message(FATAL_ERROR
    "The LibTorch in ${Torch_DIR} was built with the pre-C++11 ABI, which "
    "Debian's libraries don't share. Take a cxx11-abi build or torch >= 2.7.")
endif()
message(STATUS "accrue: LibTorch ${Torch_VERSION} from ${Torch_DIR}")
