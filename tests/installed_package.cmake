# Installs the build into a fresh prefix, builds examples against it alone and
# runs them (one of a module of the user's, one of a built-in model: all are
# tests of the tree itself); with OWN_TORCH as a project that has found LibTorch with
# find_package(Torch) before, without as one that leaves it to accrue.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(flags -DCMAKE_PREFIX_PATH=${WORK}/prefix)
set(examples window fine_tune_lora)
if(OWN_TORCH)
  file(GLOB cuda ${TORCH}/lib/libtorch_cuda.so)
  if(cuda)
    message(STATUS "skipped: find_package(Torch) needs a CUDA toolkit for ${cuda}")
    return()
  endif()
  set(examples window)
  file(WRITE ${WORK}/own_torch.cmake "find_package(Torch REQUIRED)\n")
  list(APPEND flags -DTorch_DIR=${TORCH}/share/cmake/Torch
    -DCMAKE_PROJECT_accrue_examples_INCLUDE=${WORK}/own_torch.cmake)
else()
  list(APPEND flags -DACCRUE_TORCH=${TORCH})
endif()

file(REMOVE_RECURSE ${WORK}/prefix ${WORK}/build)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${WORK}/prefix/bin/accrue --version)
run(${CMAKE_COMMAND} -S ${SOURCE}/examples -B ${WORK}/build -G ${GENERATOR}
    -DCMAKE_CXX_FLAGS=${FLAGS} ${flags})
foreach(example IN LISTS examples)
  run(${CMAKE_COMMAND} --build ${WORK}/build --target example_${example})
  run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/build --output-on-failure
      -R "example.${example}$" --no-tests=error)
endforeach()
