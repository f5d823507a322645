// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks the classes and functions that the shared library exports; all others
/// are hidden (-fvisibility=hidden).
#define ACCRUE_API __attribute__((visibility("default")))
