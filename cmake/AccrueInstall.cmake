include(CMakePackageConfigHelpers)

if(ACCRUE_BUILD_CLI)
  install(TARGETS accrue RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
# The library: one shared library, or a static one for each room.
set(_library accrue_library)
if(NOT BUILD_SHARED_LIBS)
  list(APPEND _library ${ACCRUE_LIBRARY_ROOMS})
endif()
install(TARGETS ${_library}
        EXPORT accrueTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/accrue DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(_package ${CMAKE_INSTALL_LIBDIR}/cmake/accrue)
install(EXPORT accrueTargets NAMESPACE accrue:: DESTINATION ${_package})
configure_package_config_file(
  cmake/accrueConfig.cmake.in ${PROJECT_BINARY_DIR}/accrueConfig.cmake
  INSTALL_DESTINATION ${_package})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/accrueConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES cmake/AccrueTorch.cmake
              cmake/AccrueOpenmp.cmake
              ${PROJECT_BINARY_DIR}/accrueConfig.cmake
              ${PROJECT_BINARY_DIR}/accrueConfigVersion.cmake
        DESTINATION ${_package})
