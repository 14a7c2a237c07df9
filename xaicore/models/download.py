"""Downloads that a library makes: they fail soon where there is no network, and say what to do instead."""

from __future__ import annotations

import contextlib
import socket
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from xaicore.errors import BackendError, XaicoreError

__all__ = ["downloading"]

PATIENCE = 20.0
"""Seconds without an answer after which a download fails."""


@contextlib.contextmanager
def downloading(what: str, url: str, remedy: str, reach: bool = True) -> Iterator[None]:
    """A context in which a library downloads something from a URL's host. For plugins.

    Args:
        what: what is downloaded, for messages.
        url: where from.
        remedy: what to do without a network, as a sentence.
        reach: first try whether the host can be reached; some libraries retry for a minute where it cannot.

    Raises:
        BackendError: the host cannot be reached, or the download fails.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE if before is None else before)
    try:
        if reach:
            _reach(url)
        yield
    except XaicoreError:
        raise
    except Exception as exc:  # each library wraps the errors of its client
        first = str(exc).strip().partition("\n")[0]
        raise BackendError(f"{what} cannot be downloaded from {url} ({type(exc).__name__}: {first}). {remedy}") from exc
    finally:
        socket.setdefaulttimeout(before)


def _reach(url: str) -> None:
    parts = urlsplit(url)
    if urllib.request.getproxies() or parts.hostname is None:  # a proxy resolves the name, and reaches the host
        return
    port = parts.port or (80 if parts.scheme == "http" else 443)
    socket.create_connection((parts.hostname, port), timeout=5).close()
