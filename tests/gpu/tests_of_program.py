"""The tests in C++ and those of the command line, in several processes."""

import re
import sys

from parts import TimeOver, in_parallel

FILTER = "*Agreement*:*Operation*:Families/*:*Device*:*Cuda*"
FILTER_CPU = "*Agreement*:*Operation*:*Device*:*Cuda*:Families/MetaTest*:Families/Fam*/gpt2"
# After one of these a process can no longer use its device.
BROKEN = re.compile(r"ILLEGAL_ADDRESS|illegal memory|device-side assert|LAUNCH_FAILED|"
                    r"unspecified launch failure|misaligned address|MISALIGNED", re.I)
ENDS = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S+?),? .*\(\d+ ms\)$")
CLI = [f"resume_test.ResumeTest.test_{name}" for name in (
           "five_and_five_steps_are_ten", "resume_with_all_flags_given_again",
           "time_over_saves_and_goes_on_to_the_same_bits", "physical_settings_may_change",
           "damaged_checkpoints_are_passed_over")] + [
       f"training_test.TrainingTest.test_{name}" for name in (
           "loss_falls_and_the_run_directory_is_complete",
           "losses_do_not_depend_on_the_micro_batch", "last_window_of_an_epoch_is_short",
           "validation", "config_toml_repeats_the_run",
           "every_dtype_optimizer_and_schedule_trains", "nonfinite_loss_stops_or_is_skipped")] + [
       f"device_test.DeviceTest.test_{name}" for name in (
           "bits_of_gpt2", "bits_of_llama", "bits_of_llama_in_bf16",
           "eval_and_generate_take_a_device")]
CLI_CPU = CLI[:1] + CLI[-1:]


def names_of(listing):
    """Tests that --gtest_list_tests lists."""
    names, suite = [], ""
    for line in listing.splitlines():
        line = line.split("#")[0].rstrip()
        if line.endswith(".") and not line.startswith(" "):
            suite = line
        elif line.startswith("  ") and suite:
            names.append(suite + line.strip())
    return names


def read_output(text):
    """Results of tests from their program's output: {name: (status, its text)}, and the test
    in which the output ends."""
    results, current, lines = {}, None, []
    for line in text.splitlines():
        if line.startswith("[ RUN      ] "):
            current, lines = line[13:].strip(), []
        elif current and (end := ENDS.match(line)):
            results[current] = (end.group(1), "\n".join(lines))
            current = None
        else:
            lines.append(line)
    return results, (current, "\n".join(lines)) if current else None


def run_tests(part, program, names, env, restarts=5):
    """Runs tests; after a crash or a broken device those that are left, in a new process."""
    results = {}
    while names:
        over = None
        try:
            done = part.run([program, f"--gtest_filter={':'.join(names)}"], env=env)
            out, code = done.out, done.code
        except TimeOver as error:
            over, out, code = error, getattr(error, "out", ""), None
        fresh, last = read_output(out)
        for name in names:  # in their order
            if name not in fresh:
                continue
            results[name] = fresh[name]
            if fresh[name][0] == "FAILED" and BROKEN.search(fresh[name][1]):
                break
        if over:
            return results, over
        if last:
            results[last[0]] = ("CRASHED", f"exit {code}\n{done.err[-800:]}{last[1]}")
        left = [name for name in names if name not in results]
        if len(left) == len(names) or restarts == 0:
            return results, None
        names, restarts = left, restarts - 1
    return results, None


def first_lines(text, count=5):
    """The lines of a failure that say most: no frames of the stack."""
    lines = [line for line in text.splitlines()
             if line.strip() and not re.match(r"\s*frame #|Exception raised from", line)]
    return [line[:300] for line in lines[:count]]


def unit_tests(part, bench, title, pattern, env):
    program = bench.bin / "accrue_tests"
    listing = part.run([program, "--gtest_list_tests", f"--gtest_filter={pattern}"], env=env)
    names = names_of(listing.out)
    if not part.check(bool(names), f"{title}: {len(names)} tests are listed",
                      "" if names else listing.message()):
        return
    shards = [names[i::bench.jobs] for i in range(min(bench.jobs, len(names)))]
    results, over = {}, None
    tasks = [lambda shard=shard: run_tests(part, program, shard, env) for shard in shards]
    for _, answer in in_parallel(bench.jobs, tasks):
        if isinstance(answer, Exception):
            raise answer
        results.update(answer[0])
        over = over or answer[1]
    ran = {name: result for name, result in results.items() if result[0] != "SKIPPED"}
    wrong = {name: text for name, (status, text) in ran.items() if status != "OK"}
    missing = [name for name in names if name not in results]
    part.count(len(ran) - len(wrong), len(names) - (len(results) - len(ran)))
    part.note(f"{title}: {len(ran) - len(wrong)} of {len(ran)} passed, "
              f"{len(results) - len(ran)} skipped, {len(missing)} did not run")
    for name, text in sorted(wrong.items()):
        part.note(f"  {results[name][0]} {name}")
        for line in first_lines(text):
            part.note(f"    {line}")
    part.data[title] = {"passed": len(ran) - len(wrong), "ran": len(ran), "missing": missing,
                        "failed": {name: text[:4000] for name, text in wrong.items()}}
    if over:
        raise over


def cli_tests(part, bench, names):
    env = {"ACCRUE": str(bench.bin / "accrue"), "ACCRUE_SOURCE": str(bench.root),
           **bench.test_env}
    tasks = [lambda name=name: part.run([sys.executable, "-m", "unittest", name], env=env,
                                        cwd=bench.root / "tests" / "cli") for name in names]
    passed, over = 0, None
    for place, done in in_parallel(bench.jobs, tasks):
        if isinstance(done, TimeOver):
            over = done
        elif isinstance(done, Exception):
            raise done
        elif done.code == 0:
            passed += 1
        else:
            part.note(f"  FAILED {names[place]}")
            for line in [line for line in done.err.splitlines() if line.strip()][-14:]:
                part.note(f"    {line[:300]}")
    part.count(passed, len(names))
    part.note(f"command line: {passed} of {len(names)} passed")
    if over:
        raise over


def tests(part, bench):
    unit_tests(part, bench, "operations and models", FILTER if bench.gpu else FILTER_CPU,
               bench.test_env)
    cli_tests(part, bench, CLI if bench.gpu else CLI_CPU)
    if bench.gpu:
        unit_tests(part, bench, "the same, portable operations", "*Agreement*:Families/*",
                   {**bench.test_env, "ACCRUE_BACKEND": "portable"})
