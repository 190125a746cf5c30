"""The exception family. Texts read: *object.attribute: rule; got value. Fix.*"""

import difflib
from collections.abc import Iterable


class SimError(Exception):
    """Base of every error this project raises on purpose."""


class ModelError(SimError, ValueError):
    """A model definition, a parameter or a connection breaks a rule."""


class ShapeError(SimError, ValueError):
    """An array has the wrong shape."""


class UnitError(SimError, ValueError):
    """A quantity has the wrong physical dimension."""


class ConfigError(SimError, ValueError):
    """A configuration is wrong; the message lists every problem found."""


class BackendUnavailable(SimError, RuntimeError):
    """A backend that was asked for cannot be used here."""


class ExportError(SimError, ValueError):
    """A network cannot be exported; the message lists every problem found."""


class FormatError(SimError, ValueError):
    """A file is not what it should be."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence naming the nearest of ``known``, or listing them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(known)}."
