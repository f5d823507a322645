add_library(accrue_options INTERFACE)
target_compile_features(accrue_options INTERFACE cxx_std_20)
# Nothing is contracted behind the back of the source: bits are the same on
# every CPU (docs/bits.md).
target_compile_options(accrue_options INTERFACE -ffp-contract=off
  -Wall -Wextra -Wno-missing-field-initializers -Wconversion -Wshadow
  -Wnon-virtual-dtor -Woverloaded-virtual -Wformat=2
  $<$<BOOL:${ACCRUE_WERROR}>:-Werror>)
# LibTorch's wheel carries headers of another version of fmt: a folder with the
# system's alone comes before it. (Header-only, fmt cost every source 6 s.)
get_target_property(_fmt fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
if(NOT EXISTS ${_fmt}/fmt/core.h)
  message(FATAL_ERROR "no fmt/core.h in \"${_fmt}\", where fmt::fmt says it is")
endif()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/fmt)
file(CREATE_LINK ${_fmt}/fmt ${PROJECT_BINARY_DIR}/fmt/fmt SYMBOLIC)
target_include_directories(accrue_options INTERFACE ${PROJECT_BINARY_DIR}/fmt)
target_link_libraries(accrue_options INTERFACE fmt::fmt)
if(ACCRUE_SANITIZE)
  target_compile_options(accrue_options INTERFACE
    -fsanitize=${ACCRUE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize=vptr -fno-sanitize-recover=undefined)
  target_link_options(accrue_options INTERFACE -fsanitize=${ACCRUE_SANITIZE})
endif()

if(ACCRUE_PCH)
  # Compiled once; the rooms that link torch share it.
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pch.cpp CONTENT "")
  add_library(accrue_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
  target_precompile_headers(accrue_pch PRIVATE ${PROJECT_SOURCE_DIR}/src/pch.h)
  target_link_libraries(accrue_pch PRIVATE accrue_options accrue::torch)
endif()

# accrue_room(<name> SOURCES … [DEPENDS rooms…] [LINK public…] [PRIVATE private…])
#
# One room: a static library accrue_<name>, alias accrue::<name>, whatever
# BUILD_SHARED_LIBS says: src/CMakeLists.txt makes one shared library of their
# objects. DEPENDS lists the rooms that it may include from, directly or through
# others; tests/layers_test.py reads it.
function(accrue_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;DEPENDS;LINK;PRIVATE" ${ARGN})
  set(target accrue_${name})
  add_library(${target} STATIC ${ROOM_SOURCES})
  add_library(accrue::${name} ALIAS ${target})
  list(TRANSFORM ROOM_DEPENDS PREPEND accrue_)
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target}
    PUBLIC ${ROOM_DEPENDS} ${ROOM_LINK}
    PRIVATE $<BUILD_INTERFACE:accrue_options> ${ROOM_PRIVATE})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  if(ACCRUE_PCH AND "accrue::torch" IN_LIST ROOM_LINK)
    target_precompile_headers(${target} REUSE_FROM accrue_pch)
  endif()
endfunction()
