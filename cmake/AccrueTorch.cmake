# accrue_find_torch(<error>)
#
# Defines accrue::torch, ACCRUE_TORCH_LIB, the folder of its libraries, and
# ACCRUE_TORCH_VERSION, or sets <error> to what is wrong and how to mend it. Also
# part of the installed package.
#
# LibTorch's own CMake package is not asked: in a build for CUDA it stops where
# there is no CUDA toolkit, and it links libtorch_cuda, half a gigabyte that a
# run on the CPU would map for nothing.

# Sets <root> to the folder in or near <folder> that has LibTorch's headers and
# libraries, and <cpu> and <c10> to the libraries, or <root> to nothing.
function(_accrue_torch_near folder root cpu c10)
  set(${root} "" PARENT_SCOPE)
  # What torch.utils.cmake_prefix_path and Torch_DIR say.
  string(REGEX REPLACE "/share/cmake(/Torch)?/?$" "" folder ${folder})
  # A venv, an environment of conda.
  file(GLOB in_python ${folder}/lib/python3*/site-packages/torch)
  # A zip, a wheel's torch/, a prefix of conda or Debian; their parents.
  foreach(near IN ITEMS ${folder} ${folder}/libtorch ${folder}/torch ${in_python})
    foreach(name IN ITEMS torch_cpu c10)
      set(lib_${name} NOTFOUND)
      find_library(lib_${name} ${name} PATHS ${near} NO_DEFAULT_PATH NO_CACHE
                   PATH_SUFFIXES lib lib/${CMAKE_LIBRARY_ARCHITECTURE})
    endforeach()
    if(lib_torch_cpu AND lib_c10 AND
       EXISTS ${near}/include/torch/csrc/api/include/torch/torch.h)
      get_filename_component(near ${near} ABSOLUTE)
      set(${root} ${near} PARENT_SCOPE)
      set(${cpu} ${lib_torch_cpu} PARENT_SCOPE)
      set(${c10} ${lib_c10} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# Sets <version> to what the headers say.
function(_accrue_torch_version include version)
  set(${version} "of unknown version" PARENT_SCOPE)
  foreach(header IN ITEMS
      torch/headeronly/version.h # since 2.9
      torch/csrc/api/include/torch/version.h)
    if(EXISTS ${include}/${header})
      file(STRINGS ${include}/${header} lines
           REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
      string(REGEX MATCHALL "[0-9]+" numbers "${lines}")
      if(numbers)
        list(JOIN numbers . numbers)
        set(${version} ${numbers} PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

function(accrue_find_torch error)
  set(${error} "" PARENT_SCOPE)
  if(TARGET accrue::torch)
    return()
  endif()

  set(what "LibTorch: an unpacked zip, a wheel's torch/, an environment of conda or Python")
  if(TARGET torch) # the project around has found its own
    get_target_property(folders torch INTERFACE_INCLUDE_DIRECTORIES)
    list(TRANSFORM folders APPEND /..)
  elseif(ACCRUE_TORCH)
    set(ACCRUE_TORCH ${ACCRUE_TORCH} CACHE PATH "${what}") # made absolute
    set(folders ${ACCRUE_TORCH})
  elseif(NOT "$ENV{ACCRUE_TORCH}" STREQUAL "")
    set(folders $ENV{ACCRUE_TORCH})
  else()
    string(REPLACE ":" ";" folders "$ENV{CMAKE_PREFIX_PATH}")
    list(PREPEND folders ${Torch_DIR} ${CMAKE_PREFIX_PATH})
    list(APPEND folders ${CMAKE_SYSTEM_PREFIX_PATH})
    list(REMOVE_DUPLICATES folders)
  endif()
  set(root "")
  foreach(folder IN LISTS folders)
    get_filename_component(folder ${folder} ABSOLUTE)
    _accrue_torch_near(${folder} root cpu c10)
    if(root)
      break()
    endif()
  endforeach()
  if(NOT root)
    list(JOIN folders "\n  " folders)
    string(CONCAT text
      "LibTorch not found: no headers with libtorch_cpu and libc10 in\n"
      "  ${folders}\n"
      "nor in libtorch/, torch/ or lib/python3*/site-packages/torch/ there. "
      "Run ./dev build, which installs it, or point to the one you have:\n"
      "  -DACCRUE_TORCH=/path/to/libtorch             an unpacked zip\n"
      "  -DACCRUE_TORCH=/path/to/site-packages/torch  a wheel\n"
      "  -DACCRUE_TORCH=$CONDA_PREFIX                 an environment of conda\n"
      "CMAKE_PREFIX_PATH may name it, too.")
    set(${error} "${text}" PARENT_SCOPE)
    return()
  endif()

  set(include ${root}/include)
  _accrue_torch_version(${include} version)
  if(NOT version VERSION_GREATER_EQUAL 2.6)
    string(CONCAT text
      "LibTorch >= 2.6 needed; the headers in ${include} are ${version}. "
      "Point to another one with -DACCRUE_TORCH=<folder>, or run ./dev build, "
      "which installs one.")
    set(${error} "${text}" PARENT_SCOPE)
    return()
  endif()
  # A function with a std::string, mangled as before C++11.
  file(STRINGS ${c10} old_abi LIMIT_COUNT 1
       REGEX "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs")
  if(old_abi)
    string(CONCAT text
      "LibTorch ${version} in ${root} was built with the pre-C++11 ABI "
      "(_GLIBCXX_USE_CXX11_ABI=0; seen in ${c10}), which other libraries do not "
      "share. Take torch >= 2.7 or a cxx11-abi zip, and point to it with "
      "-DACCRUE_TORCH=<folder>.")
    set(${error} "${text}" PARENT_SCOPE)
    return()
  endif()

  add_library(accrue::torch INTERFACE IMPORTED)
  if(TARGET torch)
    target_link_libraries(accrue::torch INTERFACE torch)
  else()
    target_include_directories(accrue::torch INTERFACE
      ${include} ${include}/torch/csrc/api/include)
    target_link_libraries(accrue::torch INTERFACE ${cpu} ${c10})
    # A build for CUDA needs libcudart and libcupti: a matter of the run, where
    # libtorch_cpu's own RPATH finds them, not of linking ours.
    target_link_options(accrue::torch INTERFACE LINKER:--allow-shlib-undefined)
    # Remembered: a later configure may come without the environment of this.
    set(ACCRUE_TORCH ${root} CACHE PATH "${what}" FORCE)
  endif()
  get_filename_component(lib ${cpu} DIRECTORY)
  set(ACCRUE_TORCH_LIB ${lib} PARENT_SCOPE)
  set(ACCRUE_TORCH_VERSION ${version} PARENT_SCOPE)
  if(NOT accrue_FIND_QUIETLY)
    message(STATUS "accrue: LibTorch ${version} from ${lib}")
  endif()
endfunction()
