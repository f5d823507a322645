// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "accrue/core/error.h"
#include "io/files.h"
#include "report/html.h"
#include "report/metrics.h"
#include "report/progress.h"
#include "report/step_files.h"
#include "report/tensorboard.h"
#include "support.h"

namespace accrue::report {
namespace {

using accrue::testing::expect_contains;
using accrue::testing::message_of;
using accrue::testing::TemporaryFolder;

StepMetrics example(int64_t step) {
  return {
      .step = step,
      .loss = 4.0 / static_cast<double>(step),
      .lr = 1e-3,
      .grad_norm = 1.5,
      .samples = 64,
      .tokens = 16384,
      .target_tokens = 16384,
      .tokens_per_s = 8000,
      .step_s = 2,
      .micro_batch = 4,
      .accumulation_steps = 16,
      .peak_bytes = 300 << 20,
      .resident_peak_bytes = 500 << 20};
}

TEST(MetricsTest, RoundTrip) {
  TemporaryFolder folder;
  StepMetrics full = example(3);
  full.valid_loss = 2.5;
  full.loss = NAN;
  auto path = folder.write(
      "metrics.jsonl", to_json(example(2)) + "\n" + to_json(full) + "\n{\"st");
  auto list = read_metrics(path);
  ASSERT_EQ(list.size(), 2U); // the line cut short is left out
  EXPECT_EQ(to_json(list[0]), to_json(example(2)));
  EXPECT_EQ(list[1].valid_loss, 2.5);
  EXPECT_TRUE(std::isnan(list[1].loss));
}

TEST(MetricsTest, DamagedLineIsNamed) {
  TemporaryFolder folder;
  auto path = folder.write("metrics.jsonl", "{\"step\": 1}\n");
  expect_contains(
      message_of<DataError>([&] { read_metrics(path); }), "line 1 of");
}

TEST(MetricsTest, StepsToBeRepeatedAreDropped) {
  TemporaryFolder folder;
  auto path = folder / "metrics.jsonl";
  MetricsFile first(path, 0);
  for (int64_t step = 1; step <= 4; ++step) {
    first.append(example(step));
  }
  MetricsFile resumed(path, 2);
  resumed.append(example(3));
  auto list = read_metrics(path);
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list.back().step, 3);
}

/// The records of the event files in a folder, one file after another.
std::string events_in(const std::filesystem::path& folder) {
  std::string records;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    records += io::read_file(entry.path());
  }
  return records;
}

/// Records without their times, which are 9 bytes after the framing's 12, and
/// the checksums that depend on them.
std::vector<std::string> timeless(const std::string& records) {
  std::vector<std::string> list;
  for (size_t at = 0; at + 16 <= records.size();) {
    uint64_t size_bytes = 0;
    std::memcpy(&size_bytes, records.data() + at, sizeof size_bytes);
    list.push_back(records.substr(at + 12 + 9, size_bytes - 9));
    at += size_bytes + 16;
  }
  return list;
}

// The bytes are those of TensorBoard's writer: oracle/generate_events.py.
TEST(EventFileTest, RecordsAreTensorBoards) {
  StepMetrics full = example(300);
  full.loss = NAN;
  full.grad_norm = INFINITY; // as in metrics.jsonl, one value for all of them
  full.reward_margin = -0.25;
  full.reward_accuracy = 0.5;
  full.skipped = 3;
  full.rollbacks = 1;
  full.valid_loss = 2.5;
  const std::string want = io::read_file(
      std::filesystem::path(ACCRUE_ORACLE_DIR) / "steps.tfevents");
  const std::string got = version_record(1.7e9) +
      step_record(example(2), 1.7e9 + 0.5) + step_record(full, 1.7e9 + 1.5);
  EXPECT_TRUE(got == want) << "sizes " << got.size() << " and " << want.size();
  // Control: another value, other bytes.
  EXPECT_NE(
      step_record(example(2), 1.7e9 + 0.5),
      step_record(example(4), 1.7e9 + 0.5));
}

TEST(EventFileTest, SaysWhatMetricsSayAfterEveryResume) {
  TemporaryFolder folder;
  StepFiles first(folder / "", 0, /*tensorboard=*/true);
  for (int64_t step = 1; step <= 4; ++step) {
    first.append(example(step));
  }
  folder.write("tensorboard/events.out.tfevents.1.of.others", "");
  StepFiles(folder / "", 2, /*tensorboard=*/true).append(example(3));
  std::string want = version_record(0);
  for (int64_t step = 1; step <= 3; ++step) {
    want += step_record(example(step), 0);
  }
  EXPECT_EQ(timeless(events_in(folder / "tensorboard")), timeless(want));
  EXPECT_TRUE(std::filesystem::exists(
      folder / "tensorboard/events.out.tfevents.1.of.others"));
  // Begun without, the file has the steps from before, too.
  TemporaryFolder other;
  StepFiles(other / "", 0, /*tensorboard=*/false).append(example(1));
  EXPECT_FALSE(std::filesystem::exists(other / "tensorboard"));
  StepFiles resumed(other / "", 1, /*tensorboard=*/true);
  resumed.append(example(2));
  resumed.append(example(3));
  EXPECT_EQ(timeless(events_in(other / "tensorboard")), timeless(want));
}

TEST(EventFileTest, SaysWhyItCannotBeWritten) {
  TemporaryFolder folder;
  folder.write("tensorboard", "");
  expect_contains(
      message_of<DataError>([&] { EventFile(folder / "tensorboard", {}); }),
      "cannot create the folder");
  EventFile file(folder / "events", {});
  std::filesystem::remove_all(folder / "events");
  expect_contains(
      message_of<DataError>([&] { file.append(example(1)); }),
      "[io] cannot write ");
}

TEST(ProgressTest, StepLineShowsWhatMatters) {
  auto line = step_line(example(2), 100, 65);
  for (const char* part :
       {"step   2/100",
        "loss 2.0000",
        "lr 1.00e-03",
        "|g| 1.500",
        "8.0k tok/s",
        "16 x 4",
        "peak 300 MiB",
        "ETA 1m 05s"}) {
    expect_contains(line, part);
  }
}

TEST(PageTest, ShowsEveryPictureAndNeedsNothingElse) {
  std::vector<StepMetrics> metrics;
  for (int64_t step = 1; step <= 30; ++step) {
    metrics.push_back(example(step));
  }
  metrics[9].valid_loss = 1.0;
  std::string page = render_page(
      {.title = "a <run>",
       .settings = {{"model", "x&y"}},
       .budget_bytes = 1 << 30},
      metrics);
  for (const char* part :
       {"Loss",
        "validation",
        "Learning rate",
        "Gradient norm",
        "Throughput",
        "Peak memory",
        "budget",
        "a &lt;run&gt;",
        "x&amp;y"}) {
    expect_contains(page, part);
  }
  size_t pictures = 0;
  for (size_t at = page.find("<svg"); at != std::string::npos;
       at = page.find("<svg", at + 1)) {
    ++pictures;
  }
  EXPECT_EQ(pictures, 5U);
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

TEST(PageTest, OneStepAndNoStepAreShown) {
  expect_contains(render_page({}, {}), "No step has finished");
  std::string page = render_page({}, {example(1)});
  EXPECT_EQ(page.find("Reward margin"), std::string::npos);
  EXPECT_EQ(page.find("Warnings"), std::string::npos);
  StepMetrics step = example(1);
  step.reward_margin = step.valid_reward_margin = 0.5;
  step.warnings = {"the loss is 8 > 3"};
  std::string other = render_page({}, {step});
  expect_contains(other, "Reward margin");
  expect_contains(other, "validation");
  expect_contains(other, "<li>step 1: the loss is 8 &gt; 3");
  expect_contains(render_page({}, {example(1)}), "<circle class=s0");
}

} // namespace
} // namespace accrue::report
