// SPDX-License-Identifier: Apache-2.0
#pragma once

// The only place with the version; CMake reads it from here.
#define ACCRUE_VERSION_MAJOR 0
#define ACCRUE_VERSION_MINOR 1
#define ACCRUE_VERSION_PATCH 0
#define ACCRUE_VERSION "0.1.0"
