// SPDX-License-Identifier: Apache-2.0
// Control of the tests under the thread sanitizer: with an argument the program
// has one race, which must be found; without, threads are in order.
#include <cstdio>
#include <vector>

int main(int argc, char**) {
  std::vector<int> each(1000);
  int sum = 0;
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 1000; ++i) {
    each[static_cast<size_t>(i)] = i;
    if (argc > 1) {
      sum += i; // the race
    }
  }
  for (int value : each) { // after the threads
    sum += value;
  }
  std::printf("%d\n", sum);
}
