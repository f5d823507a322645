// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace accrue::cli {

/// Entry points of the commands. Each takes the arguments after the command's
/// name and returns the exit code of the process. main turns exceptions into
/// exit codes.
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
