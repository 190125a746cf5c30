"""The check of verify.py on several MPI processes: what comes out depends on neither ranks nor threads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from verify_common import ROOT, Line, Options

MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}  # fmt: skip


def mpiexec() -> str:
    """The program that starts ranks."""
    path = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if path is None:
        raise FileNotFoundError("mpiexec is missing: pip install 'volley-snn[mpi]'")
    return path


def measured(network: str, ranks: int, threads: int, duration: float) -> dict[str, Any]:
    """What scripts/bench/ranks.py prints; one rank runs without MPI."""
    command = [] if ranks == 1 else [mpiexec(), "-n", str(ranks)]
    command += [sys.executable, str(ROOT / "scripts" / "bench" / "ranks.py"), network]
    command += ["--threads", str(threads), "--duration", str(duration)]
    done = subprocess.run(command, env=os.environ | MPI, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise RuntimeError(done.stderr)
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))  # mpiexec adds some of its own
    found: dict[str, Any] = json.loads(line)
    return found


def ranks(options: Options) -> list[Line]:
    """Brunel's network, with pair STDP too, and the microcircuit at a tenth: 1 to 4 ranks, of 1 and 2 threads."""
    lines = []
    for network, duration in (("brunel", 200.0), ("microcircuit", 500.0), ("brunel_stdp", 100.0)):
        runs = [measured(network, r, t, duration / (4 if options.quick else 1)) for r in (1, 2, 3, 4) for t in (1, 2)]
        spikes = runs[0]["spikes"]
        lines.append(
            Line(
                f"{network}: spikes of 1 to 4 ranks x 1, 2 threads", "one process, one thread",
                f"{len({run['hash'] for run in runs})} hash of {spikes} spikes; a rank holds "
                + ", ".join(f"{run['rank MB']['edges bytes']:.0f}" for run in runs[::2]) + " MB of edges",
                "1 hash, more than 1,000 spikes", len({run["hash"] for run in runs}) == 1 and spikes > 1000,
            )
        )  # fmt: skip
    return lines
