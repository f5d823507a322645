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
message(STATUS "accrue: LibTorch ${Torch_VERSION} from ${Torch_DIR}")
