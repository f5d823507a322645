# Configures the library alone, once static and once shared, and checks that it
# looks for none of the libraries that only the program needs. A control: the
# program does look for them.
set(program_only CLI11 tomlplusplus PCRE2 UTF8PROC ZSTD)

function(configure found)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK} --fresh -G ${GENERATOR}
      -DACCRUE_TORCH=${TORCH} -DACCRUE_BUILD_TESTS=OFF ${ARGN}
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  set(names "")
  foreach(name IN LISTS program_only)
    file(STRINGS ${WORK}/CMakeCache.txt lines REGEX "^${name}_(DIR|LIBRARY):")
    if(lines)
      list(APPEND names ${name})
    endif()
  endforeach()
  set(${found} "${names}" PARENT_SCOPE)
endfunction()

foreach(shared IN ITEMS OFF ON)
  configure(found -DACCRUE_BUILD_CLI=OFF -DBUILD_SHARED_LIBS=${shared})
  if(found)
    message(FATAL_ERROR "the library alone looks for ${found}")
  endif()
endforeach()
configure(found -DACCRUE_BUILD_CLI=ON)
if(NOT found STREQUAL program_only)
  message(FATAL_ERROR "the control found only: ${found}")
endif()
