"""kernels.decide, compiled for the device."""

from kernels import decide as cpu
from kernels.cuda.jit import device

read = device(cpu.read.py_func)
best_two = device(cpu.best_two.py_func)
shape = device(cpu.shape.py_func)
log_odds = device(cpu.log_odds.py_func)
features = device(cpu.features.py_func, shape=shape)
gate = device(cpu.gate.py_func)
excluded = device(cpu.excluded.py_func)
lead = device(cpu.lead.py_func)
score = device(
    cpu.score.py_func, shape=shape, log_odds=log_odds, excluded=excluded, lead=lead, gate=gate
)  # fmt: skip
look = device(cpu.look.py_func, read=read, best_two=best_two, features=features, gate=gate, score=score)
decide = device(cpu.decide.py_func, look=look)
