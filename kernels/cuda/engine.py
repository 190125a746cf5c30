"""The cuda engine: network and state on the device, a chunk of steps a launch."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import cuda

from kernels.compiled import CompiledNetwork
from kernels.cpu.learn import STATIC
from kernels.cuda import generate, learn
from kernels.cuda.jit import SIMULATED, fetch, select, send
from kernels.cuda.layout import N_RECORDED, REACHED, Out, Synapses, learned, merged, plan
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
        rules = [(*rule, e.delays.size > 0) for rule, e in zip(net.rules, net.learned, strict=True)]
        self.module = generate.build(net.variants, net.kinds, rules, net.precision, deterministic)
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
                counts=np.zeros(4 + len(rules), np.int64), spikes=np.zeros((2, capacity, 4), np.int32),
                record_step=np.zeros(ROOM + capacity, np.int32), record_id=np.zeros(ROOM + capacity, np.uint32),
            ),
            *(edges._replace(number=np.empty((0, 0))) for edges in net.edges),
            *(
                part
                for x, e in zip(net.plastic, net.learned, strict=True)
                for part in (learned(x, int(e.n_source[0])), Synapses(*(getattr(e, f) for f in Synapses._fields)))
            ),
        )  # fmt: skip
        self.bytes = sum(a.nbytes for t in arrays for a in t if isinstance(a, np.ndarray))
        _check_memory(self.bytes)
        self.plan, self.device_tables, self.constants, self.state, self.inputs, self.probes, self.out, *self.edges = (
            send(t) for t in arrays
        )
        self.learned, self.synapses = self.edges[len(net.edges) :: 2], self.edges[len(net.edges) + 1 :: 2]
        self.stale: set[int] = set()  # plastic projections that may have been changed on the host
        self.cooperative = _cooperative() if cooperative is None else cooperative
        self.blocks, self.threads = 1, launch[1] if launch else 4 if SIMULATED else BLOCK
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
                start, start, end, 0, plan_, tables, self.constants, state, inputs, self.probes, out, *self.learned
            ),
            "deliver_launch": (start, end, 0, plan_, tables, state, inputs, out, *self.edges),
            **{
                f"{part}_launch_{n}": arguments
                for n, (x, e) in enumerate(zip(self.learned, self.synapses, strict=True))
                for part, arguments in (
                    ("sweep", (plan_, tables, x, e, start, 0, 0)), ("swept", (x, e, out, start, 0, 0))
                )
            },
        }  # fmt: skip

    def advance(self, start: int, stop: int) -> tuple[int, list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """Run from step ``start`` to at most ``stop``; returns as kernels.cpu.engine does."""
        stop = min(stop, start + self.chunk)
        state = self.net.state
        self._put(self.out.counts, np.zeros(self.out.counts.size, np.int64))
        self._put(self.state.f, state.f)  # the user may have set it
        self._put(self.state.i, state.i)
        for n in self.stale:
            self._upload(n)
        self.stale.clear()
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
        for n, x in enumerate(self.net.plastic):
            x.fault[:1] = fetch(self.learned[n].fault)
            if x.fault[0, 0] >= 0:
                self.net.learned[n].weights[:] = fetch(self.synapses[n].weights)
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
            for n, (rule, _) in enumerate(self.net.rules):
                x = self.net.plastic[n]
                if learn.moves(rule) and (begin % x.epoch == 0 or begin == x.signal_set[0]):
                    self._sweep(n, begin, 1, 1)
            kernels.deliver_launch[config](begin, end, half, *given["deliver_launch"][3:])
            begin, half = end, 1 - half
            counts = fetch(self.out.counts)
            for n in range(len(self.net.rules)):
                if counts[learn.due(n)] > 0:
                    self._sweep(n, begin - 1, 0, 0)
        counts[REACHED] = begin
        return counts

    def _sweep(self, n: int, until: int, settle: int, epoch: int) -> None:
        """Bring the synapses of plastic projection ``n`` up to date, in two launches."""
        config = (self.blocks, self.threads)
        x, e = self.learned[n], self.synapses[n]
        getattr(self.module, f"sweep_launch_{n}")[config](self.plan, self.device_tables, x, e, until, settle, epoch)
        getattr(self.module, f"swept_launch_{n}")[config](x, e, self.out, until, settle, epoch)

    def sweep(self, number: int, step: int, settle: bool = False) -> None:
        """As kernels.cpu.engine; then the host may change the projection's arrays, up to the next :meth:`advance`."""
        if number not in self.stale:
            self._sweep(number, step, int(settle), 0)
            edges, plastic = self.net.learned[number], self.net.plastic[number]
            for host, array in ((edges.weights, self.synapses[number].weights),
                                (plastic.variables, self.learned[number].variables)):  # fmt: skip
                if host.size:
                    host[...] = fetch(array)
            self.stale.add(number)

    def weights(self, number: int, step: int) -> np.ndarray:
        """Weights of plastic projection ``number`` at ``step``; a copy. Changes no result."""
        if number in self.stale or self.net.rules[number][0].flow is None:
            self.sweep(number, step)
            return self.net.learned[number].weights.copy()
        x, e = self.learned[number], self.synapses[number]
        arrays = [e.weights, x.variables, x.done, x.swept, x.settled]
        saved = [fetch(array) for array in arrays]
        self._sweep(number, step, 1, 0)
        weights = fetch(e.weights)
        for array, before in zip(arrays, saved, strict=True):
            self._put(array, before)
        return np.asarray(weights)

    def set_signal(self, number: int, step: int, value: float | np.ndarray) -> None:
        """As kernels.cpu.engine."""
        host, x = self.net.plastic[number], self.learned[number]
        if np.ndim(value) or np.any(host.signal_each != 1.0) or self.net.rules[number][0].observer:
            self._sweep(number, step - 1, 0, 0)  # what has been before the step takes the old value
            host.signal_each[1] = fetch(x.signal_each)[1]
            host.signal_each[0] = value if np.ndim(value) else 1.0
            host.signal_set[0] = step
            self._put(x.signal_each, host.signal_each)
            self._put(x.signal_set, host.signal_set)
        now, jumps = fetch(x.signal_now), fetch(x.signal_jumps)
        now[:, 0] = 1.0 if np.ndim(value) else value
        jumps[:, step & (jumps.shape[1] - 1)] = 0
        self._put(x.signal_now, now)
        self._put(x.signal_jumps, jumps)

    def _upload(self, n: int) -> None:
        """Take what the host may have changed in plastic projection ``n``."""
        edges, plastic = self.net.learned[n], self.net.plastic[n]
        for name in ("rows", "targets", "weights", "delays"):
            self._put(getattr(self.synapses[n], name), getattr(edges, name))
        for name in ("variables", "learning"):
            self._put(getattr(self.learned[n], name), getattr(plastic, name))

    def _put(self, to: Any, array: np.ndarray) -> None:
        """Overwrite a device array."""
        if SIMULATED:
            to[...] = array
        elif array.size:
            to.copy_to_device(np.ascontiguousarray(array))

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
    for x, (rule, _) in zip(net.plastic, net.rules, strict=True):
        if x.axonal > 0:
            raise BackendUnavailable(
                f'backend="cuda": has no axonal delays yet; got {x.axonal * x.dt:g} ms with {rule.name}. '
                'Use backend="cpu".'
            )


def _unit(net: CompiledNetwork) -> float:
    """What 1 in a fixed-point accumulator means: a power of two, by the network's largest weight."""
    x = net.inputs
    arrays = [x.weight, x.event_weight, *(a for e in net.edges for a in (e.weight, e.weights))]
    arrays += [e.weights for e in net.learned]
    each = [x.values[w : w + net.tables.n[p]] for p in range(net.tables.n.size)
            for w in x.weights[x.first[p] : x.first[p + 1]] if w >= 0]  # fmt: skip
    limits = [0.0]
    for plastic, (rule, _) in zip(net.plastic, net.rules, strict=True):
        if rule is not STATIC:
            limits += rule.bounds(SimpleNamespace(**dict(zip(rule.constants, plastic.constants, strict=True))))
        if not np.all(np.isfinite(limits)):
            raise BackendUnavailable(
                f'backend="cuda": deterministic=True needs bounded weights, and {rule.name} has no bounds here. '
                "Give it such, or use deterministic=False."
            )
    largest = max(float(np.abs(a).max(initial=0.0)) for a in [*arrays, *each, np.array(limits)])
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
