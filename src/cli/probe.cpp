// SPDX-License-Identifier: Apache-2.0
#include "cli/probe.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "accrue/core/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/exit.h"
#include "cli/flags.h"
#include "cli/threads.h"
#include "io/files.h"
#include "run/fit_table_file.h"
#include "run/probe.h"

extern char** environ;

namespace accrue::cli {
namespace {

/// Runs this program again, with `command` and `arguments`. Returns its stdout.
std::string run_self(
    const std::string& command,
    std::vector<std::string> arguments,
    int& status) {
  std::string name = "accrue";
  arguments.insert(arguments.begin(), {name, command});
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) {
    throw Error(fmt::format(
        "[accrue] cannot create a pipe: {}.", std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  pid_t child = 0;
  int problem = posix_spawn(
      &child, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string output;
  std::array<char, 4096> buffer{};
  ssize_t count = 0;
  while (problem == 0 &&
         (count = read(ends[0], buffer.data(), buffer.size())) > 0) {
    output.append(buffer.data(), static_cast<size_t>(count));
  }
  close(ends[0]);
  if (problem != 0) {
    throw Error(fmt::format(
        "[accrue] the probes could not be started: {}.",
        std::strerror(problem)));
  }
  waitpid(child, &status, 0);
  return output;
}

} // namespace

std::string probe_in_child(const std::vector<std::string>& arguments) {
  int status = 0;
  std::string table = run_self("probe", arguments, status);
  if (WIFSIGNALED(status) && WTERMSIG(status) != SIGINT) {
    throw MemoryError(fmt::format(
        "[memory] the process that measures what fits was ended by signal {}{}",
        WTERMSIG(status),
        WTERMSIG(status) == SIGKILL
            ? ": perhaps the system is out of memory. Lower --memory."
            : ". Pass --micro-batch to go on without it, and report this."));
  }
  if (!WIFEXITED(status)) {
    throw Exit{128 + SIGINT};
  }
  if (WEXITSTATUS(status) != 0) {
    throw Exit{WEXITSTATUS(status)};
  }
  return table;
}

std::string saved_fit_table(const TrainOptions& options) {
  const std::filesystem::path path = fit_table_path(options);
  return options.resume && std::filesystem::exists(path) ? io::read_file(path)
                                                         : "";
}

int run_probe(const std::vector<std::string>& arguments) {
  prctl(PR_SET_PDEATHSIG, SIGTERM); // useless without its parent
  ParsedFlags flags = parse_flags(
      "probe", "Measure the fit table that `train` plans with.", arguments);
  const TrainOptions& options = flags.options;
  const Threads threads(options.threads);
  report::Progress progress(stderr, flags.call.quiet);
  Task task(options, /*needs_out=*/true, progress.callback(), flags.problems);
  Window window(
      task.model().parameters(), {.on_nonfinite = options.on_nonfinite});
  MemoryPlan plan = plan_memory(
      task,
      window,
      {.known = parse_fit_table(task, saved_fit_table(options)),
       .tick = progress.callback()});
  fmt::print("{}", to_json(task, plan.table));
  return 0;
}

} // namespace accrue::cli
