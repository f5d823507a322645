include(CMakePackageConfigHelpers)

# The program, and the rooms with public headers.
install(TARGETS accrue RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS accrue_library accrue_generate accrue_drive accrue_device
                accrue_window accrue_models accrue_optim
                accrue_tensor accrue_io accrue_core
        EXPORT accrueTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
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
