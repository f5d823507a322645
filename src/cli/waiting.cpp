#include <sys/auxv.h>
#include <unistd.h>

#include <array>
#include <cstddef>

// How long a thread of OpenMP spins before it sleeps, when it waits for the
// others of a parallel region. GNU's runtime spins 300000 times, some
// milliseconds; beside other programs, that takes the cores from the threads
// it waits for: docs/decisions.md has figures.
//
// The runtime reads its environment while it is loaded, before main, and has
// no function for this; a setenv before that is lost, because libc takes its
// environment from the loader only afterwards. So the program starts itself
// once more, with the variables set, as soon as the loader calls anything of
// it: libraries are mapped by then, but nothing of them has run.

namespace {

// No library is initialized yet, so this uses little but system calls.

bool names(const char* setting, const char* variable) {
  while (*variable != '\0' && *setting == *variable) {
    ++setting;
    ++variable;
  }
  return *variable == '\0' && *setting == '=';
}

constexpr std::array<const char*, 3> kOfTheUser{
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT", // GNU's
    "KMP_BLOCKTIME"}; // LLVM's and Intel's, in milliseconds

void bound_spinning(int /*count*/, char** arguments, char** environment) {
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    for (const char* variable : kOfTheUser) {
      if (names(environment[count], variable)) {
        return; // as the user says, or done already
      }
    }
  }
  if (getauxval(AT_BASE) == 0) {
    return; // run by naming the loader, which is what would be started again
  }
  static char spins[] = "GOMP_SPINCOUNT=1000";
  static char blocktime[] = "KMP_BLOCKTIME=1";
  constexpr size_t kMost = 4096;
  std::array<char*, kMost + 3> settings; // NOLINT: no need to clear it
  if (count > kMost) {
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    settings[i] = environment[i];
  }
  settings[count] = spins;
  settings[count + 1] = blocktime;
  settings[count + 2] = nullptr;
  // By its name, which `ps` shows then; by the link, where that is gone.
  std::array<char, 4096> path;
  ssize_t length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length > 0) {
    path[static_cast<size_t>(length)] = '\0';
    execve(path.data(), arguments, settings.data());
  }
  execve("/proc/self/exe", arguments, settings.data());
  // Not possible here: the run is as good, only slow beside other programs.
}

} // namespace

// Sanitizers are not ready at this time either.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__attribute__((
    section(".preinit_array"),
    used)) void (*const bound_spinning_first)(int, char**, char**) =
    bound_spinning;
#endif
