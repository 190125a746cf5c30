"""Source of the event engine's generated modules, one for each model variant."""

from dataclasses import dataclass

from kernels import packed
from kernels.body import argument_names
from kernels.codegen import HEADER, _function, _scalars
from kernels.event.layout import STATE, VALUES
from kernels.names import own
from kernels.spec import ClosedForm, NeuronSpec


@dataclass(frozen=True)
class Form:
    """A model and which of its constants differ from neuron to neuron."""

    spec: NeuronSpec
    varying: frozenset[str]

    @property
    def closed(self) -> ClosedForm:
        """The closed form."""
        if self.spec.closed_form is None:  # pragma: no cover - compile refuses such models
            raise ValueError(self.spec.name)
        return self.spec.closed_form

    @property
    def states(self) -> list[str]:
        """Names of the float state variables."""
        return [v.name for v in self.spec.state if v.dtype == "float"]

    def constants(self) -> tuple[list[str], list[str]]:
        """Names of the constants that the functions use: shared by a population, and varying."""
        names = [p.name for p in self.spec.params] + [d.name for d in self.closed.derived]
        used = {a for f in self.closed.functions().values() for a in argument_names(f)} | {self.closed.t_ref}
        names = [n for n in names if n in used]
        return [n for n in names if n not in self.varying], [n for n in names if n in self.varying]


_MODEL = '''
CHECK_AT, UNTIL_AT, STIM_AT = np.uint64(CHECK), np.uint64(UNTIL), np.uint64(STIM)  # in a record; LAST is the first
L, ROW, WIDE = np.uint64(LANES), np.uint64(LANE_ROW), np.uint64(LANE_ROW - LANES)
LAST_ROW, CHECK_ROW, UNTIL_ROW, STIM_ROW = [np.uint64(j) * ROW for j in range(4)]
LIVE_ROW, FLAG_ROW, DONE_ROW = [np.uint64(j) * ROW for j in range(3)]


@inlined
def later(net, block, neuron, check, k):
    """Set the timer of a neuron: it comes up in window k at the earliest."""
    if check < np.inf:
        set_timer(block, neuron, max(window_of(net, check), k), k)


@inner
def bring(words, thread, half, p, l, te, last, stop, k):
    """Do everything that the neuron of lane ``l`` does by itself up to ``te``, the time of its next event or (``last``)
    the end of window ``k``, but nothing at or after ``stop``. The state is left as of its last spike."""
    stay_apart()  # inside process its words would be read in each window, also where no lane needs them
    net, block, lanes, sync = net_of(words, 0), block_of(words, 0), lanes_of(words, 0), sync_of(words, 0)
    {load_par}
    {load_lane}
    tl, ck, un = lanes.x[LAST_ROW + l], lanes.x[CHECK_ROW + l], lanes.x[UNTIL_ROW + l]
    before, quick = -np.inf, 0
    while ck <= te and te > tl:
        if tl < un:
            if un >= stop or (last and window_of(net, un) > k):
                break
            {hold_until}
            tl = un
            ck = tl + {earliest}
            continue
        c = {crossing_te}
        if not c <= te - tl:
            if last:
                {copy_flow_te}
                ck = te + {earliest_copy}
            break
        ts = min(tl + c, te)
        if ts >= stop:
            break
        if last and window_of(net, ts) > k:
            ck = te
            break
        if c > 0.0:
            {flow_c}
        {fire}
        tl = ts
        neuron = block.order[np.uint64(lanes.first[0]) + l]
        spike = net.gid[p] + block.lo[p] + neuron - block.first[p]
        at = sync.n_spikes[half, thread, 0]
        quick = quick + 1 if ts - before < SHORT else 0
        before = ts
        if quick > MOST_AT_ONCE or at >= sync.spike_time.shape[2]:
            if sync.failed[thread, 0] == 0.0:
                sync.failed[thread, 0] = 1.0 if quick > MOST_AT_ONCE else 2.0
                sync.failed[thread, 1], sync.failed[thread, 2], sync.failed[thread, 3] = p, spike - net.gid[p], ts
            break
        sync.spike_time[half, thread, at], sync.spike_id[half, thread, at] = ts, spike
        sync.n_spikes[half, thread, 0] = at + 1
        {after_fire}
    {store_lane}
    lanes.x[LAST_ROW + l], lanes.x[CHECK_ROW + l], lanes.x[UNTIL_ROW + l] = tl, ck, un


@inner
def set_current(words, p, l, te, value):
    """Lane ``l``, brought to ``te``, gets another injected current."""
    stay_apart()
    net, lanes = net_of(words, 0), lanes_of(words, 0)
    {load_par}
    {load_lane}
    tl, un = lanes.x[LAST_ROW + l], lanes.x[UNTIL_ROW + l]
    if te > tl:
        {move_te}
        tl = te
    q_i_stim = value
    lanes.x[STIM_ROW + l] = value
    {store_lane}
    lanes.x[LAST_ROW + l] = tl
    lanes.x[CHECK_ROW + l] = un if tl < un else tl + {earliest}


@inlined
def run_events(net, lanes, scratch, p, at, m):
    """Give the first ``m`` lanes the events from ``at`` on, where they apply."""
    distinct()
    {load_par}
    x, mark, time, weight, receptor = lanes.x, lanes.mark, scratch.time, scratch.weight, scratch.receptor
    for l in range(np.uint64(m)):
        {load_vector}
        tl, un, q_i_stim = x[LAST_ROW + l], x[UNTIL_ROW + l], x[STIM_ROW + l]
        te, w, r, is_live = time[at + l], weight[at + l], receptor[at + l], mark[LIVE_ROW + l] != 0
        h = te - tl
        moved = h > 0.0
        h = h if moved else 0.0
        {vector_update}
        {vector_store}
        tl = te if moved else tl
        {vector_check}
        x[LAST_ROW + l] = tl if is_live else x[LAST_ROW + l]
        x[CHECK_ROW + l] = ck if is_live else x[CHECK_ROW + l]


@inner
def process(words, thread, half, p, k, stop):
    """Advance the touched neurons of population ``p`` over window ``k``, up to ``stop`` where that comes first."""
    net, block, lanes = net_of(words, 0), block_of(words, 0), lanes_of(words, 0)
    scratch, sync = scratch_of(words, 0), sync_of(words, 0)
    thread, half, p = np.uint64(thread), np.uint64(half), np.uint64(p)
    begin = np.uint64(block.first[p])
    end_of_list = begin + np.uint64(block.n_touched[p])
    wend = (k + 1) * net.width
    complete = window_of(net, stop) > k
    soonest = k + 1 if complete else k
    m_slice = np.uint64(block.hi[p] - block.lo[p])
    het_at, size = np.uint64(block.het_at[p]), np.uint64(net.record)
    order, f, x, number, mark = block.order, block.f, lanes.x, lanes.number, lanes.mark
    time, receptor = scratch.time, scratch.receptor
    for from_ in range(begin, end_of_list, L):
        m = min(L, end_of_list - from_)
        lanes.first[0] = from_
        neuron = np.uint64(order[from_])  # it has most events
        most = np.uint64(block.counted[neuron] - 1)
        first = np.uint64(block.end[neuron]) - most * L
        for l in range(m):
            neuron = np.uint64(order[from_ + l])
            i = neuron - begin
            at = neuron * size
            x[LAST_ROW + l], x[CHECK_ROW + l] = f[at], f[at + CHECK_AT]
            x[UNTIL_ROW + l], x[STIM_ROW + l] = f[at + UNTIL_AT], f[at + STIM_AT]
            {gather}
            number[l] = np.int64(block.counted[neuron]) - 1
            mark[FLAG_ROW + l] = 0
            mark[DONE_ROW + l] = 0
            mark[LIVE_ROW + l] = 1
            block.counted[neuron] = 0
        if most > np.uint64(1):
            active = m
            for turn in range(np.uint64(1), most):
                while number[active - np.uint64(1)] <= np.int64(turn):
                    active -= np.uint64(1)
                at = first + turn * L
                for l in range(active):
                    mark[FLAG_ROW + l] |= time[at + l] < time[at - L + l]
            for l in range(m):
                if mark[FLAG_ROW + l]:
                    sort_events(scratch, first + l, number[l])
        active = m
        for turn in range(most):
            while number[active - np.uint64(1)] <= np.int64(turn):
                active -= np.uint64(1)
            any_flag = 0
            events = first + turn * L
            for l in range(active):
                te, r = time[events + l], receptor[events + l]
                flag = ((x[CHECK_ROW + l] <= te) & (te > x[LAST_ROW + l])) | (te >= stop) | (r == CURRENT_CODE)
                mark[FLAG_ROW + l] = flag
                any_flag |= flag
            if any_flag:
                for l in range(active):
                    if mark[FLAG_ROW + l]:
                        te = time[events + l]
                        mark[LIVE_ROW + l] = 1
                        if not mark[DONE_ROW + l]:
                            bring(words, thread, half, p, l, te, False, stop, k)
                        if te >= stop:
                            mark[DONE_ROW + l] = 1
                            mark[LIVE_ROW + l] = 0
                        elif receptor[events + l] == CURRENT_CODE:
                            set_current(words, p, l, te, scratch.weight[events + l])
                            mark[LIVE_ROW + l] = 0
            for l in range(WIDE):
                mark[LIVE_ROW + active + l] = 0
            # a rest of a vector loop is slower than a whole vector
            run_events(net, lanes, scratch, p, events, (active + WIDE - np.uint64(1)) & ~(WIDE - np.uint64(1)))
            if any_flag:
                for l in range(active):
                    mark[LIVE_ROW + l] = 1
        for l in range(m):
            if x[CHECK_ROW + l] <= wend and not mark[DONE_ROW + l] and window_of(net, x[CHECK_ROW + l]) <= k:
                bring(words, thread, half, p, l, wend, True, stop, k)
            neuron = np.uint64(order[from_ + l])
            i = neuron - begin
            at = neuron * size
            f[at], f[at + CHECK_AT] = x[LAST_ROW + l], x[CHECK_ROW + l]
            f[at + UNTIL_AT], f[at + STIM_AT] = x[UNTIL_ROW + l], x[STIM_ROW + l]
            {scatter}
            # most timers come up before; the window of slack makes rounding harmless
            if x[CHECK_ROW + l] < np.inf and not (np.float64(block.timer[neuron]) + 1.0) * net.width < x[CHECK_ROW + l]:
                set_timer(block, neuron, max(window_of(net, x[CHECK_ROW + l]), soonest), k)
        bad = False
        for l in range(m):
            bad |= {not_finite}
        if bad and sync.failed[thread, 0] == 0.0:
            l = np.uint64(0)
            while not ({not_finite}):
                l += np.uint64(1)
            sync.failed[thread, 0], sync.failed[thread, 1] = 3.0, p
            sync.failed[thread, 2] = block.lo[p] + order[from_ + l] - block.first[p]
            sync.failed[thread, 3] = x[LAST_ROW + l]
    block.n_touched[p] = 0


@kernel
def peek(net, block, p, t, ids, out):
    """The state at ``t``, up to which everything has happened, of neurons ``ids`` of the block's slice, to ``out``."""
    {load_par}
    m = np.uint64(block.hi[p] - block.lo[p])
    f, het_at = block.f, np.uint64(block.het_at[p])
    n = np.uint64(ids.size)
    for j in range(n):
        i = np.uint64(ids[j])
        neuron = np.uint64(block.first[p]) + i
        at = neuron * np.uint64(net.record)
        q_i_stim, tl, un = f[at + STIM_AT], f[at], f[at + UNTIL_AT]
        {load_block}
        te = t
        if te > tl:
            {move_te}
        {store_out}


@kernel
def restart(net, block, p, k):
    """Look anew at when neurons of population ``p`` may cross the threshold; timers from window ``k`` on."""
    {load_par}
    m = np.uint64(block.hi[p] - block.lo[p])
    f, het_at = block.f, np.uint64(block.het_at[p])
    for i in range(m):
        neuron = np.uint64(block.first[p]) + i
        at = neuron * np.uint64(net.record)
        q_i_stim, tl, un = f[at + STIM_AT], f[at], f[at + UNTIL_AT]
        {load_block}
        ck = un if tl < un else tl + {earliest}
        f[at + CHECK_AT] = ck
        later(net, block, neuron, ck, k)
'''


def _calls(form: Form) -> dict[str, str]:
    closed, states = form.closed, [own(s) for s in form.states]

    def call(name: str, /, **given: str) -> str:
        function = closed.functions()[name]
        return f"{name}({', '.join(given.get(a, own(a)) for a in argument_names(function))})"

    def assign(names: list[str], text: str) -> str:
        return f"{', '.join(names)}{',' if len(names) == 1 else ''} = {text}"

    shared, varying = ([own(n) for n in names] for names in form.constants())
    copies = [f"copy_{s}" for s in states]
    as_copy = dict(zip(form.states, copies, strict=True))
    arrivals = {f"arrive_{r.name}": f"arrive_{r.name}" for r in form.spec.receptors}
    free, held, now, then = ([f"{when}_{s}" for s in states] for when in ("free", "held", "now", "then"))
    at8, at12 = "\n" + " " * 8, "\n" + " " * 12
    refractory = closed.hold is not None

    def move(h: str, indent: str) -> str:
        flow = assign(states, call("flow", h=h))
        if not refractory:
            return flow
        return f"if te <= un:{indent}    {assign(states, call('hold', h=h))}{indent}else:{indent}    {flow}"

    update = [f"arrive_{r.name} = w if r == {j} else 0.0" for j, r in enumerate(form.spec.receptors)]
    update.append(assign(free, call("flow", h="h")))
    if refractory:
        update.append(assign(held, call("hold", h="h")))
        update.append("is_held = te < un")
        choose = [f"({h} if is_held else {f})" for h, f in zip(held, free, strict=True)]
    else:
        update.append("is_held = False")
        choose = free
    update += [f"{n} = {c} if moved else {s}" for n, c, s in zip(now, choose, states, strict=True)]
    now_of = dict(zip(form.states, now, strict=True))
    then_of = dict(zip(form.states, then, strict=True))
    update.append(assign(then, call("arrive", held="np.int64(is_held)", **now_of, **arrivals)))
    free_check = f"tl + {call('earliest', **then_of)}"
    rows = [f"np.uint64({VALUES + j}) * ROW + l" for j in range(len(states) + len(varying))]
    offsets, constant_at = rows[: len(states)], rows[len(states) :]
    return {
        "load_par": "\n    ".join(f"{n} = net.par[np.uint64(net.par_at[p] + {j})]" for j, n in enumerate(shared))
        or "pass",
        "load_lane": "\n    ".join(
            [f"{s} = lanes.x[{o}]" for s, o in zip(states, offsets, strict=True)]
            + [f"{n} = lanes.x[{o}]" for o, n in zip(constant_at, varying, strict=True)]
            + ["q_i_stim = lanes.x[STIM_ROW + l]"]
        ),
        "store_lane": "\n    ".join(f"lanes.x[{o}] = {s}" for s, o in zip(states, offsets, strict=True)),
        "load_vector": at8.join(
            [f"{s} = x[{o}]" for s, o in zip(states, offsets, strict=True)]
            + [f"{n} = x[{o}]" for o, n in zip(constant_at, varying, strict=True)]
        ),
        "vector_update": at8.join(update),
        "vector_store": at8.join(
            f"x[{o}] = {t} if is_live else {s}" for o, t, s in zip(offsets, then, states, strict=True)
        ),
        "vector_check": f"ck = un if is_held else {free_check}" if refractory else f"ck = {free_check}",
        "load_block": at8.join(
            [f"{s} = f[at + np.uint64({STATE + j})]" for j, s in enumerate(states)]
            + [f"{n} = block.het[het_at + np.uint64({j}) * m + i]" for j, n in enumerate(varying)]
        ),
        "store_out": at8.join(f"out[np.uint64({j}) * n + j] = {s}" for j, s in enumerate(states)),
        "gather": at12.join(
            [f"x[{o}] = f[at + np.uint64({STATE + j})]" for j, o in enumerate(offsets)]
            + [f"x[{o}] = block.het[het_at + np.uint64({j}) * m_slice + i]" for j, o in enumerate(constant_at)]
        ),
        "scatter": at12.join(f"f[at + np.uint64({STATE + j})] = x[{o}]" for j, o in enumerate(offsets)),
        "not_finite": " | ".join(f"(x[{o}] - x[{o}] != 0.0)" for o in offsets),
        "hold_until": assign(states, call("hold", h="un - tl")) if refractory else "pass",
        "earliest": call("earliest"),
        "earliest_copy": call("earliest", **as_copy),
        "crossing_te": call("crossing", h="te - tl"),
        "copy_flow_te": assign(copies, call("flow", h="te - tl")),
        "flow_c": assign(states, call("flow", h="c")),
        "fire": assign(states, call("fire")),
        "after_fire": f"un = ts + {own(str(closed.t_ref))}{at8}ck = un if tl < un else tl + {call('earliest')}"
        if refractory
        else f"ck = tl + {call('earliest')}",
        "move_te": move("te - tl", at8),
    }


def model_source(form: Form, layouts: dict[str, str]) -> str:
    """Source of the module that advances a model variant's populations; ``layouts``: forms of tuples in ``words``."""
    imports = "\n".join((
        "from kernels.event import layout",
        "from kernels.event.calendar import set_timer, window_of",
        "from kernels.event.layout import CHECK, CURRENT_CODE, LANE_ROW, LANES, STIM, UNTIL",
        "from kernels.event.window import sort_events",
        "from kernels.jit import distinct, stay_apart",
        "from kernels.packed import reader",
        "",
    ))  # fmt: skip
    functions = form.closed.functions()
    calls = _calls(form)
    peek_move = calls["move_te"].replace("\n" + " " * 8, "\n" + " " * 12)
    head, tail = _MODEL.split("@kernel\ndef peek", 1)
    body = head.format(**calls) + ("@kernel\ndef peek" + tail).format(**{**calls, "move_te": peek_move})
    constants = "SHORT = 1e-6  # ms\nMOST_AT_ONCE = 1000\n"
    parts = [HEADER.format(title=f"Events of {form.spec.name}.", imports=imports) + "\n" + constants]
    parts.append(readers(layouts, ("net", "block", "lanes", "scratch", "sync")))
    parts.append(_scalars(tuple(functions.values()), False))
    parts += [_function(f, name, False) for name, f in functions.items()]
    return "\n\n".join(part for part in (*parts, body) if part)


def readers(layouts: dict[str, str], names: tuple[str, ...]) -> str:
    """Source of ``net_of(words)`` and so on, for the tuples that are asked for."""
    text, at = "", 1
    for name, form in layouts.items():
        if name in names:
            text += f"{name}_of = reader(layout.{name.capitalize()}, {form!r}, {at})\n"
        at += packed.width(form)
    return text
