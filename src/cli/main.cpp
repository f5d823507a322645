// SPDX-License-Identifier: Apache-2.0
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "accrue/core/error.h"
#include "accrue/core/version.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/nearest_name.h"
#include "device/memory.h"
#include "tensor/environment.h"

namespace {

constexpr const char* kUsage =
    R"(accrue {}: train at the batch size you want on the memory you have

The logical batch decides the result; micro-batches and memory only the time.

usage: accrue COMMAND [FLAGS]

  train      train a language model
               accrue train --model configs/llama-3m --data book.txt \
                 --global-batch 64 --memory 1GiB --steps 100 --out runs/first
  plan       what fits, how fast, what a run needs: the same flags, probes only
  verify     one window split as planned against the same window unsplit
  eval       loss and perplexity of a model
  generate   continue a prompt
               accrue generate --model runs/first/model --prompt "Once"
  show-data  samples as the model sees them, and the tokens trained on
  tokenize   token ids of text, by a tokenizer.json
  report     rebuild report.html of a run directory

accrue COMMAND --help explains the flags and shows their defaults.
)";

using Command = std::function<int(const std::vector<std::string>&)>;

int dispatch(const std::vector<std::string>& arguments) {
  namespace cli = accrue::cli;
  static const std::map<std::string, Command> kCommands{
      {"train", cli::run_train},
      {"plan", cli::run_plan},
      {"probe", cli::run_probe}, // a child process of train: cli/probe.h
      {"verify", cli::run_verify},
      {"generate", cli::run_generate},
      {"eval", cli::run_eval},
      {"show-data", cli::run_show_data},
      {"tokenize", cli::run_tokenize},
      {"report", cli::run_report},
  };
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    fmt::print(fmt::runtime(kUsage), ACCRUE_VERSION);
    return arguments.empty() ? 2 : 0;
  }
  if (arguments[0] == "--version") {
    return cli::run_version();
  }
  // Errors in the environment come before all others.
  accrue::tensor::instruction_set();
  accrue::tensor::backend_name();
  auto it = kCommands.find(arguments[0]);
  if (it == kCommands.end()) {
    cli::Names names;
    for (const auto& command : kCommands) {
      names.emplace(command.first);
    }
    const auto nearest = cli::nearest_name(arguments[0], names);
    throw accrue::ConfigError(fmt::format(
        "[accrue] unknown command \"{}\"{} accrue --help lists them.",
        arguments[0],
        nearest ? fmt::format(", did you mean {}?", *nearest) : "."));
  }
  return it->second({arguments.begin() + 1, arguments.end()});
}

int report(const char* what, int code) {
  fmt::print(stderr, "error: {}\n", what);
  return code;
}

} // namespace

int main(int argc, char** argv) {
  const accrue::device::AllocatorScope allocator;
  try {
    return dispatch({argv + 1, argv + argc});
  } catch (const accrue::cli::Exit& exit) {
    return exit.code;
  } catch (const accrue::ConfigError& error) {
    return report(error.what(), 2);
  } catch (const accrue::DataError& error) {
    return report(error.what(), 3);
  } catch (const std::filesystem::filesystem_error& error) {
    return report(error.what(), 3);
  } catch (const accrue::MemoryError& error) {
    return report(error.what(), 4);
  } catch (const c10::OutOfMemoryError& error) {
    return report(error.what_without_backtrace(), 4);
  } catch (const std::bad_alloc&) {
    return report("[memory] the system is out of memory. Lower --memory.", 4);
  } catch (const c10::Error& error) {
    // LibTorch's error, without the stack of frames.
    return report(error.what_without_backtrace(), 1);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}
