# Installs the build into a fresh prefix, builds examples/ against it alone and
# runs them: once for a project that leaves LibTorch to accrue, once for one that
# has found it with find_package(Torch) before.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(build_examples name)
  run(${CMAKE_COMMAND} -S ${SOURCE}/examples -B ${WORK}/${name} -G ${GENERATOR}
      -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS=${FLAGS} ${ARGN})
  run(${CMAKE_COMMAND} --build ${WORK}/${name})
  run(${WORK}/${name}/train_your_module)
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${WORK}/prefix/bin/accrue --version)

build_examples(left_to_accrue
  -DCMAKE_PREFIX_PATH=${WORK}/prefix -DACCRUE_TORCH=${TORCH})

file(GLOB cuda ${TORCH}/lib/libtorch_cuda.so)
if(cuda)
  message(STATUS "skipped: find_package(Torch) needs a CUDA toolkit for ${cuda}")
  return()
endif()
file(WRITE ${WORK}/own_torch.cmake "find_package(Torch REQUIRED)\n")
build_examples(own_torch
  -DCMAKE_PREFIX_PATH=${WORK}/prefix -DTorch_DIR=${TORCH}/share/cmake/Torch
  -DCMAKE_PROJECT_accrue_examples_INCLUDE=${WORK}/own_torch.cmake)
