"""Throughput beside PyTorch, measured by bench/gpu.py."""

import json

from parts import TimeOver


def throughput(part, bench):
    out = bench.work / "throughput.json"
    try:
        # Stops by itself a moment before its time is over.
        done = part.run(
            [bench.python, bench.root / "bench" / "gpu.py", "--accrue", bench.accrue,
             "--device", bench.device, "--seconds", f"{part.left() - 8:.0f}", "--out", out],
            env={"XDG_CACHE_HOME": bench.env["XDG_CACHE_HOME"], "TMPDIR": str(bench.work)})
        if done.code != 0:
            part.note(done.message())
    except TimeOver as over:
        part.note(f"stopped: {over}")
    if not out.exists():
        raise RuntimeError("no result")
    part.data.update(json.loads(out.read_text()))
    bench.facts.update(part.data.get("facts", {}))
    for line in part.data.get("notes", []):
        part.note(line)
    bench.table += part.data["table"]
    for line in part.data["table"]:
        part.note(line)
