// SPDX-License-Identifier: Apache-2.0
#include "core/cgroup.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "support.h"

namespace accrue {
namespace {

using testing::TemporaryFolder;

/// A tree of files as the kernel shows them.
class CgroupTest : public ::testing::Test {
 protected:
  void member_of(const std::string& lines) {
    folder_.write("cgroup", lines);
  }
  void file(const std::string& path, const std::string& text) {
    std::filesystem::path name = folder_ / "mounts" / path;
    std::filesystem::create_directories(name.parent_path());
    std::ofstream(name) << text;
  }
  std::optional<double> cpus() const {
    return cgroup_cpus(files());
  }
  std::optional<uint64_t> free_bytes() const {
    return cgroup_free_bytes(files());
  }

 private:
  CgroupFiles files() const {
    return {folder_ / "cgroup", folder_ / "mounts"};
  }
  TemporaryFolder folder_;
};

TEST_F(CgroupTest, NothingToReadIsNoLimit) {
  EXPECT_EQ(cpus(), std::nullopt);
  EXPECT_EQ(free_bytes(), std::nullopt);
  member_of("garbage\n0::/\n");
  file("memory.max", "max\n");
  file("memory.current", "5\n");
  file("cpu.max", "max 100000\n");
  EXPECT_EQ(cpus(), std::nullopt);
  EXPECT_EQ(free_bytes(), std::nullopt);
}

TEST_F(CgroupTest, Version2InAContainer) {
  member_of("0::/\n");
  file("cpu.max", "150000 100000\n");
  file("memory.max", "1000\n");
  file("memory.high", "max\n");
  file("memory.current", "700\n");
  file(
      "memory.stat",
      "anon 300\nfile 400\ninactive_anon 9\nactive_file 150\n"
      "inactive_file 200\nslab 7\n");
  EXPECT_EQ(cpus(), 1.5);
  EXPECT_EQ(free_bytes(), 1000U - (700 - 350));
}

TEST_F(CgroupTest, TightestOfTheGroupsAround) {
  member_of("0::/jobs/17/step\n");
  file("jobs/17/step/cpu.max", "max 100000\n");
  file("jobs/17/cpu.max", "200000 100000\n");
  file("jobs/cpu.max", "800000 100000\n");
  file("elsewhere/cpu.max", "1000 100000\n");
  EXPECT_EQ(cpus(), 2.0);
  file("jobs/17/step/memory.max", "900\n");
  file("jobs/17/step/memory.current", "100\n");
  file("jobs/17/memory.max", "1000\n");
  file("jobs/17/memory.current", "600\n"); // with other steps of the job
  file("jobs/memory.max", "max\n");
  file("jobs/memory.current", "5000\n");
  EXPECT_EQ(free_bytes(), 400U);
}

TEST_F(CgroupTest, MemoryHighSlowsDownLongBeforeTheLimit) {
  member_of("0::/unit\n");
  file("unit/memory.max", "1000\n");
  file("unit/memory.high", "500\n");
  file("unit/memory.current", "100\n");
  EXPECT_EQ(free_bytes(), 400U);
  file("unit/memory.current", "600\n");
  EXPECT_EQ(free_bytes(), 0U);
}

TEST_F(CgroupTest, Version1) {
  member_of(
      "12:cpuset:/\n5:cpu,cpuacct:/box\n4:memory:/box\n1:name=systemd:/\n");
  file("cpu,cpuacct/box/cpu.cfs_quota_us", "50000\n");
  file("cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  file("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  file("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpus(), 0.5);
  file("memory/box/memory.limit_in_bytes", "1000\n");
  file("memory/box/memory.usage_in_bytes", "900\n");
  file(
      "memory/box/memory.stat",
      "inactive_file 1\nactive_file 2\ntotal_inactive_file 300\n"
      "total_active_file 400\n");
  file("memory/memory.limit_in_bytes", "9223372036854771712\n");
  file("memory/memory.usage_in_bytes", "123456\n");
  EXPECT_EQ(free_bytes(), 800U);
}

TEST_F(CgroupTest, Version1MountedByController) {
  member_of("2:cpuacct,cpu:/box\n");
  file("cpu/box/cpu.cfs_quota_us", "300000\n");
  file("cpu/box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpus(), 3.0);
}

TEST_F(CgroupTest, ContainerSeesItsGroupAsTheRoot) {
  // The path is the host's, the mount begins at the container's group.
  member_of("4:memory:/docker/0123/inner\n3:cpu:/docker/0123\n");
  file("memory/memory.limit_in_bytes", "1000\n");
  file("memory/memory.usage_in_bytes", "100\n");
  file("memory/inner/memory.limit_in_bytes", "700\n");
  file("memory/inner/memory.usage_in_bytes", "100\n");
  file("cpu/cpu.cfs_quota_us", "100000\n");
  file("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(free_bytes(), 600U);
  EXPECT_EQ(cpus(), 1.0);
}

TEST_F(CgroupTest, GroupOutsideOfWhatIsSeenStaysInside) {
  member_of("0::/../../other\n");
  file("cpu.max", "400000 100000\n");
  EXPECT_EQ(cpus(), 4.0);
}

TEST_F(CgroupTest, BothVersionsAtOnce) {
  member_of("4:memory:/box\n0::/box\n");
  file("memory/box/memory.limit_in_bytes", "1000\n");
  file("memory/box/memory.usage_in_bytes", "100\n");
  file("unified/box/cgroup.procs", "");
  file("unified/box/cpu.max", "100000 50000\n");
  EXPECT_EQ(free_bytes(), 900U);
  EXPECT_EQ(cpus(), 2.0);
}

TEST(UsableCpusTest, FollowsTheAffinityMask) {
  EXPECT_GE(usable_cpus(), 1);
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
    }
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_cpus(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

} // namespace
} // namespace accrue
