"""What libtiff says of damage: it writes to standard error and often goes on; here it becomes a refusal."""

import ctypes
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import PIL._imaging

from twofold.errors import UnreadableInput

__all__ = ["damage_refused"]

DECODERS = (b"JPEGLib", b"Fax4Decode")
"""Parts of libtiff whose warnings are about the picture: it went on with what it made of wrong data."""

_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
"""`void (*)(const char *module, const char *format, va_list)`, of TIFFSetErrorHandler (libtiff 4)."""


class _Heard(threading.local):
    """The part of libtiff that met damage in this thread."""

    module: str | None = None


_heard = _Heard()


@contextmanager
def damage_refused() -> Iterator[None]:
    """Inside, a TIFF is decoded by libtiff; what it calls an error is raised as UnreadableInput.

    Of its warnings only those of decoders count: others are about tags that nobody needs.
    """
    _listen()
    _heard.module = None
    try:
        yield
    except Exception as error:
        if _heard.module is None:
            raise
        raise _damaged(_heard.module) from error
    if _heard.module is not None:
        raise _damaged(_heard.module)


def _damaged(module: str) -> UnreadableInput:
    return UnreadableInput(f"is damaged (found by {module} of libtiff): replace it or leave it out")


@cache
def _listen() -> tuple[Any, ...]:
    """Have libtiff call us, for the rest of the process, and keep what it calls alive.

    Pillow offers no way to do so. The functions are looked for in the libraries that Pillow's own
    is linked to; where they are hidden, as on Windows, libtiff goes on writing to standard error.
    """

    def on_error(module: bytes | None, text: bytes | None, values: int | None) -> None:
        _heard.module = (module or b"a part").decode("ascii", "replace")

    def on_warning(module: bytes | None, text: bytes | None, values: int | None) -> None:
        if module in DECODERS:
            _heard.module = module.decode()

    # else Python writes what Pillow logs there, too
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    handlers = _HANDLER(on_error), _HANDLER(on_warning)
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(PIL._imaging.__file__)
        setters = library.TIFFSetErrorHandler, library.TIFFSetWarningHandler
        for setter, handler in zip(setters, handlers, strict=True):
            setter.restype, setter.argtypes = ctypes.c_void_p, [_HANDLER]
            setter(handler)
    return handlers
