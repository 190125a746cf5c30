"""What is checked when it is made and cannot be changed then: a change would pass by the checks, or do nothing."""

import functools
from typing import Any, ClassVar, NoReturn

import numpy as np

from kernels.errors import ModelError


def settled(value: Any) -> Any:
    """``value``; an array cannot be written to from now on."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


class Settled(dict[str, Any]):
    """A dictionary that cannot be changed, nor arrays in it; the error names ``owner`` and gives ``advice``."""

    def __init__(self, values: dict[str, Any], owner: str, advice: str) -> None:
        super().__init__({name: settled(value) for name, value in values.items()})
        self._refusal = owner, advice

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ModelError("{}: cannot be changed. {}".format(*self._refusal))

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> Any:
        return Settled, (dict(self), *self._refusal)


class Fixed:
    """Base of objects whose attributes are set by ``__init__`` and not later; arrays in them cannot be written to."""

    __slots__ = ("_made",)  # a slot: what vars() gives are the values alone
    advice: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        init = vars(cls).get("__init__")
        if init is None:
            return

        @functools.wraps(init)
        def make(self: Any, /, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            if type(self).__init__ is make:  # not that of a base
                self.__setstate__(vars(self))

        cls.__init__ = make  # type: ignore[assignment,method-assign]

    def __setattr__(self, name: str, value: Any = None) -> None:
        if hasattr(self, "_made"):
            raise ModelError(f"{type(self).__name__}.{name}: cannot be assigned or deleted. {self.advice}")
        object.__setattr__(self, name, value)

    __delattr__ = __setattr__

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))

    def __setstate__(self, values: dict[str, Any]) -> None:
        vars(self).update({name: settled(value) for name, value in values.items()})
        object.__setattr__(self, "_made", True)
