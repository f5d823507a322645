#!/usr/bin/env python3
"""Writes steps.tfevents: two steps as TensorBoard's own writer frames them.

Run with tensorboard==2.21.0 installed:

    python tests/oracle/generate_events.py

The numbers are those of report_test.cpp.
"""

import pathlib

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

PLAIN = [("train/loss", 2.0), ("train/grad_norm", 1.5), ("train/lr", 1e-3),
         ("train/tokens_per_s", 8000), ("train/step_s", 2),
         ("memory/peak_bytes", 300 << 20), ("memory/resident_peak_bytes", 500 << 20)]
FULL = [("train/loss", float("nan")), ("train/grad_norm", float("nan")), ("train/lr", 1e-3),
        ("train/tokens_per_s", 8000), ("train/step_s", 2), ("train/reward_margin", -0.25),
        ("train/reward_accuracy", 0.5), ("train/skipped", 3), ("train/rollbacks", 1),
        ("valid/loss", 2.5),
        ("memory/peak_bytes", 300 << 20), ("memory/resident_peak_bytes", 500 << 20)]


def step(step, wall_time, curves):
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in curves]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=values))


with open(pathlib.Path(__file__).parent / "steps.tfevents", "wb") as file:
    writer = RecordWriter(file)
    for event in (Event(wall_time=1.7e9, file_version="brain.Event:2"),
                  step(2, 1.7e9 + 0.5, PLAIN), step(300, 1.7e9 + 1.5, FULL)):
        writer.write(event.SerializeToString())
