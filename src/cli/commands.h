// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace accrue::cli {

/// One entry point per command: takes the arguments after its name, returns the
/// exit code of the process. Errors are thrown; main has their exit codes.
int run_train(const std::vector<std::string>& arguments);
int run_probe(const std::vector<std::string>& arguments);
int run_plan(const std::vector<std::string>& arguments);
int run_verify(const std::vector<std::string>& arguments);
int run_generate(const std::vector<std::string>& arguments);
int run_eval(const std::vector<std::string>& arguments);
int run_show_data(const std::vector<std::string>& arguments);
int run_tokenize(const std::vector<std::string>& arguments);
int run_report(const std::vector<std::string>& arguments);
int run_version();

} // namespace accrue::cli
