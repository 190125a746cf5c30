"""Long comparisons with other simulators, with theory and with what the documentation promises.

    python scripts/verify.py --list
    python scripts/verify.py --out results/verify                     # all of them: about an hour on two cores
    python scripts/verify.py statistics_cuba kill --quick             # two of them, shorter

These are no unit tests: each takes minutes, writes a figure into the folder and lines into a table (table.md,
table.csv): what, against what, statistic, bound with its reason, pass or fail. The exit code is 1 where any line fails.
A statistical check also shows that it can fail: the same network with its inhibition wrong by 5 % must be told apart.

Extras that checks need: the statistics ``peers`` (NEST and Brian2), ``streaming`` too (libsonata), ``ranks`` ``mpi``,
``torch_training`` and ``torch_conversion`` ``torch`` and scikit-learn, ``cuda_machine_code`` ``cuda``; ``loihi_fuzz``,
``loihi_speed`` and those ``.._on_loihi`` an environment for Lava (scripts/lava_env.sh).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from verify_balance import balance_rate, balance_spiking, delays, self_tuning
from verify_column import liquid_gain, maass_separation
from verify_common import Line, Options
from verify_confidence import confidence_coverage, confidence_digits, confidence_runs
from verify_confidence_tasks import confidence_events, confidence_joint, confidence_tasks
from verify_cuda import cuda_machine_code
from verify_lava import ground_truth, loihi_fuzz, loihi_speed
from verify_learning import dopamine_on_loihi, learning_networks, learning_rules, stdp_on_loihi
from verify_meet import meet, meet_noise, meet_weights
from verify_motion import motion_detection, motion_noisy
from verify_neuromorphic import digits_on_loihi, reservoir_on_loihi
from verify_numerics import convergence, event_convergence, threads
from verify_plasticity import distal_reward, ten_hours
from verify_ranks import ranks
from verify_records import kill, streaming
from verify_reliability import kill_resume, one_day, resume_everything, ten_million
from verify_reservoirs import force_signals, force_sine, force_song
from verify_statistics import (
    microcircuit_full,
    statistics_brunel,
    statistics_coba,
    statistics_cuba,
    statistics_microcircuit,
)
from verify_sweep import sweep
from verify_torch import torch_conversion, torch_training
from verify_voltage import clopath, r_max

CHECKS: dict[str, Callable[[Options], list[Line]]] = {
    f.__name__: f
    for f in (
        statistics_brunel, statistics_cuba, statistics_coba, statistics_microcircuit, microcircuit_full, streaming,
        kill, ranks, convergence, event_convergence, threads, ten_hours, distal_reward, clopath, r_max, force_sine,
        force_signals, force_song, confidence_digits, confidence_coverage, confidence_runs, confidence_tasks,
        confidence_joint, confidence_events, torch_training, torch_conversion, kill_resume, resume_everything,
        ten_million, one_day, meet, meet_noise, meet_weights, digits_on_loihi, reservoir_on_loihi, sweep,
        cuda_machine_code, balance_rate, balance_spiking, self_tuning, delays, motion_detection, learning_rules,
        learning_networks, loihi_fuzz, loihi_speed, ground_truth, maass_separation, stdp_on_loihi, motion_noisy,
        liquid_gain, dopamine_on_loihi,
    )
}  # fmt: skip


def write_table(lines: dict[str, list[Line]], seconds: dict[str, float], out: Path) -> str:
    """Write table.csv and table.md; the Markdown."""
    fields = [f.name for f in dataclasses.fields(Line)]
    with open(out / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["check", *fields])
        writer.writerows([name, *dataclasses.astuple(line)] for name, some in lines.items() for line in some)
    rows = ["| what | against | statistic | bound | |", "|---|---|---|---|---|"]
    for some in lines.values():
        for line in some:
            verdict = "pass" if line.passed else "FAIL"
            rows.append(f"| {line.what} | {line.against} | {line.statistic} | {line.bound} | {verdict} |")
    took = ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items())
    text = "\n".join([*rows, "", f"Wall time: {took}.", ""])
    (out / "table.md").write_text(text, encoding="utf-8")
    return text


def run_check(name: str, options: Options) -> list[Line]:
    """One check; an exception is a failed line."""
    try:
        return CHECKS[name](options)
    except Exception as error:  # the other checks go on
        import traceback

        traceback.print_exc()
        return [Line(name, "-", f"{type(error).__name__}: {error}".replace("\n", " ")[:500], "runs to its end", False)]


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code is 1 where any line fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="NAME", help="checks to run [all]")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--out", type=Path, default=Path("results/verify"), help="folder of plots and table")
    parser.add_argument("--quick", action="store_true", help="shorter times; what is shown is the same")
    parser.add_argument("--seeds", type=int, default=8, help="of each simulator, at least 7 [8]")
    parser.add_argument("--threads", type=int, default=2, help="of the long runs [2]")
    given = parser.parse_args(arguments)
    if given.list:
        for name, check in CHECKS.items():
            print(f"{name:24} {(check.__doc__ or '').strip()}")
        return 0
    unknown = [name for name in given.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    if given.seeds < 7:
        parser.error(f"--seeds: must be >= 7, or the level cannot be reached; got {given.seeds}")
    given.out.mkdir(parents=True, exist_ok=True)
    options = Options(given.out, given.quick, given.seeds, given.threads)
    lines: dict[str, list[Line]] = {}
    seconds: dict[str, float] = {}
    context = multiprocessing.get_context("spawn")
    for name in given.checks or CHECKS:
        print(f"{name}: {(CHECKS[name].__doc__ or '').strip()}", flush=True)
        begin = time.perf_counter()
        with ProcessPoolExecutor(1, mp_context=context) as pool:  # a process of its own: memory is that of one check
            lines[name] = pool.submit(run_check, name, options).result()
        seconds[name] = time.perf_counter() - begin
        for line in lines[name]:
            print(
                f"  {'pass' if line.passed else 'FAIL'}  {line.what}: {line.statistic} (bound: {line.bound})",
                flush=True,
            )
        write_table(lines, seconds, given.out)
    print(f"\n{write_table(lines, seconds, given.out)}\nwritten: {given.out}/table.md, table.csv and figures")
    return 0 if all(line.passed for some in lines.values() for line in some) else 1


if __name__ == "__main__":
    sys.exit(main())
