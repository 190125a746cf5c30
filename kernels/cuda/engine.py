"""The cuda engine: network and state on the device, a chunk of steps a launch."""

from typing import Any

import numpy as np
from numba import cuda

from kernels.compiled import CompiledNetwork
from kernels.cuda import generate
from kernels.cuda.jit import SIMULATED, fetch, select, send
from kernels.cuda.layout import N_RECORDED, REACHED, Out, merged, plan
from kernels.errors import BackendUnavailable

MAX_CHUNK_STEPS = 100_000
SAMPLE_BYTES = 64e6
ROOM = 2**22  # recorded spikes of a launch
BLOCK = 256  # threads
BLOCKS_PER_MULTIPROCESSOR = 2
DIGITS = 40  # bits of the largest weight in a fixed-point accumulator, which thus holds 2**22 times that weight


class Engine:
    """Advance a compiled network on a CUDA device, or in Numba's simulator of one.

    Parameters
    ----------
    net : CompiledNetwork, compiled for one thread
    number : of the device
    deterministic : accumulators are integers, so that no result depends on the order of additions
    launch : blocks, threads of a block and threads of a warp; None: chosen
    cooperative : whether one launch advances many steps; None: where the device can
    """

    def __init__(
        self, net: CompiledNetwork, number: int = 0, deterministic: bool = False,
        launch: tuple[int, int, int] | None = None, cooperative: bool | None = None,
    ) -> None:  # fmt: skip
        _refuse(net)
        select(number)
        unit = _unit(net) if deterministic else 0.0
        self.module = generate.build(net.variants, net.kinds, net.precision, deterministic)
        self.cached = True  # numba-cuda keeps no kernel on disk that links the runtime; nothing to announce
        self.net, self.tables = net, net.tables
        width = launch[2] if launch else 4 if SIMULATED else 32
        host = plan(net, width, ROOM, unit)
        self.window, self.given = host.window, 0
        accumulators = int(np.sum(net.tables.stride)) * (host.mask + 1)
        probes = net.probes
        widths = np.diff(probes.first)
        fit = SAMPLE_BYTES / 8 / max(float((widths / np.maximum(probes.every, 1)).sum()), 1e-9)
        self.chunk = int(min(MAX_CHUNK_STEPS, max(fit, self.window, probes.every.max(initial=1))))
        samples = widths * (self.chunk // np.maximum(probes.every, 1) + 1)
        self.at = np.concatenate(([0], np.cumsum(samples))).astype(np.int64)
        capacity = net.tables.spike_capacity
        ring = np.zeros(accumulators, np.int64 if deterministic else net.state.ring.dtype)
        arrays = (
            host,
            net.tables,
            net.constants,
            net.state._replace(ring=ring, current=np.empty(0), words=np.empty(0)),
            merged(net.inputs, host.sources),
            probes._replace(at=self.at[:-1].copy(), samples=np.zeros(int(self.at[-1]))),
            Out(
                counts=np.zeros(4, np.int64), spikes=np.zeros((2, capacity, 4), np.int32),
                record_step=np.zeros(ROOM + capacity, np.int32), record_id=np.zeros(ROOM + capacity, np.uint32),
            ),
            *(edges._replace(number=np.empty((0, 0))) for edges in net.edges),
        )  # fmt: skip
        self.bytes = sum(a.nbytes for t in arrays for a in t if isinstance(a, np.ndarray))
        _check_memory(self.bytes)
        self.plan, self.device_tables, self.constants, self.state, self.inputs, self.probes, self.out, *self.edges = (
            send(t) for t in arrays
        )
        self.cooperative = _cooperative() if cooperative is None else cooperative
        self.blocks, self.threads = 1, launch[1] if launch else 8 if SIMULATED else BLOCK
        self.advance(0, 0)  # compiles
        self.blocks = launch[0] if launch else self._blocks()

    def _blocks(self) -> int:
        """Blocks of a launch: a few a multiprocessor; of a cooperative one, no more than can run at once."""
        if SIMULATED:
            return 1
        wanted = BLOCKS_PER_MULTIPROCESSOR * int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
        if not self.cooperative:
            return wanted
        kernel = next(iter(self.module.advance.overloads.values()))
        return min(wanted, int(kernel.max_cooperative_grid_blocks(self.threads)))

    def arguments(self, start: int, stop: int) -> dict[str, tuple[Any, ...]]:
        """Arguments of the kernels, by name, for a launch from step ``start`` to ``stop``."""
        plan_, tables, state, inputs, out = self.plan, self.device_tables, self.state, self.inputs, self.out
        end = min(start + self.window, stop)
        return {
            "advance": (
                start, stop, self.given, plan_, tables, self.constants, state, inputs, self.probes, out, *self.edges
            ),
            "begin_launch": (self.given, start + self.window, plan_, tables, inputs, state),
            "neurons_launch": (
                start, start, end, 0, plan_, tables, self.constants, state, inputs, self.probes, out
            ),
            "deliver_launch": (start, end, 0, plan_, tables, state, inputs, out, *self.edges),
        }  # fmt: skip

    def advance(self, start: int, stop: int) -> tuple[int, list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """Run from step ``start`` to at most ``stop``; returns as kernels.cpu.engine does."""
        stop = min(stop, start + self.chunk)
        state = self.net.state
        self._put(self.out.counts, np.zeros(4, np.int64))
        self._put(self.state.f, state.f)  # the user may have set it
        self._put(self.state.i, state.i)
        if self.cooperative:
            self.module.advance[self.blocks, self.threads](*self.arguments(start, stop)["advance"])
            counts = fetch(self.out.counts)
        else:
            counts = self._windows(start, stop)
        reached, total = int(counts[REACHED]), int(counts[N_RECORDED])
        self.given = reached + self.window
        if state.f.size:
            state.f[:] = fetch(self.state.f)[: state.f.size]
        if state.i.size:
            state.i[:] = fetch(self.state.i)[: state.i.size]
        return reached, self._spikes(total, start), self._samples(start, reached)

    def _windows(self, start: int, stop: int) -> Any:
        """As the kernel ``advance``, a few launches a window; returns Out.counts."""
        config, kernels, given = (self.blocks, self.threads), self.module, self.arguments(start, stop)
        kernels.begin_launch[config](*given["begin_launch"])
        begin, half = start, 0
        counts = fetch(self.out.counts)
        while begin < stop and counts[N_RECORDED] <= ROOM:
            end = min(begin + self.window, stop)
            kernels.neurons_launch[config](start, begin, end, half, *given["neurons_launch"][4:])
            kernels.deliver_launch[config](begin, end, half, *given["deliver_launch"][3:])
            begin, half = end, 1 - half
            counts = fetch(self.out.counts)
        counts[REACHED] = begin
        return counts

    def _put(self, to: Any, array: np.ndarray) -> None:
        """Overwrite a device array."""
        if SIMULATED:
            to[: array.size] = array
        elif array.size:
            to.copy_to_device(array)

    def _spikes(self, total: int, start: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Times in ms and ids of the recorded spikes of each population, by step, then id."""
        out, tables = self.out, self.tables
        steps, ids = (fetch(a[: max(total, 1)])[:total].astype(np.int64) for a in (out.record_step, out.record_id))
        key = np.sort(steps << 32 | ids)
        times, ids = ((key >> 32) + start + 1) * self.net.dt, key & 0xFFFFFFFF
        spikes = []
        for gid, n in zip(tables.gid, tables.n, strict=True):
            mine = (ids >= gid) & (ids < gid + n)
            spikes.append((times[mine], ids[mine] - gid))
        return spikes

    def _samples(self, start: int, reached: int) -> list[np.ndarray]:
        """What the probes sampled, shape (times, ids) each."""
        probes, found = self.net.probes, []
        values = fetch(self.probes.samples) if self.at[-1] > 0 else np.empty(0)
        for q, every in enumerate(probes.every.tolist()):
            width = int(probes.first[q + 1] - probes.first[q])
            rows = reached // every - start // every
            found.append(values[self.at[q] :][: rows * width].reshape(rows, width).copy())
        return found


def _refuse(net: CompiledNetwork) -> None:
    """Raise BackendUnavailable for what this engine does not have."""
    for rule, short_term in net.rules:
        name = short_term.name if short_term else rule.name
        raise BackendUnavailable(f'backend="cuda": has no plasticity yet; got {name}. Use backend="cpu".')


def _unit(net: CompiledNetwork) -> float:
    """What 1 in a fixed-point accumulator means: a power of two, by the network's largest weight."""
    x = net.inputs
    arrays = [x.weight, x.event_weight, *(a for e in net.edges for a in (e.weight, e.weights))]
    each = [x.values[w : w + net.tables.n[p]] for p in range(net.tables.n.size)
            for w in x.weights[x.first[p] : x.first[p + 1]] if w >= 0]  # fmt: skip
    largest = max((float(np.abs(a).max(initial=0.0)) for a in [*arrays, *each]), default=0.0)
    return 2.0 ** (int(np.frexp(largest)[1]) - DIGITS)


def _check_memory(needed: int) -> None:
    """Raise BackendUnavailable unless ``needed`` bytes are free."""
    if SIMULATED:
        return
    free = int(cuda.current_context().get_memory_info()[0])
    if needed > free:
        raise BackendUnavailable(
            f'backend="cuda": the network needs {needed / 2**30:.3g} GiB of device memory; {free / 2**30:.3g} GiB are '
            'free. Use a smaller network, precision="float32", or backend="cpu".'
        )


def _cooperative() -> bool:
    """Whether the device takes cooperative launches; the simulator does with one block."""
    return True if SIMULATED else bool(cuda.get_current_device().COOPERATIVE_LAUNCH)
