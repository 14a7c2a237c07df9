"""Whether a tracking server answers, and where it shows a run. MLflow itself retries for four minutes."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import requests

import xaicore

__all__ = ["address", "reach"]

ANSWER = 5.0
"""Seconds to wait for an answer."""


def reach(uri: str, pauses: Sequence[float] = (0,)) -> None:
    """Return when the server answers, with any status; at once for a local store.

    Args:
        uri: the address of the tracking server or store.
        pauses: seconds to wait before each attempt.

    Raises:
        LoggerError: it did not answer.
    """
    if urlsplit(uri).scheme not in ("http", "https"):
        return
    for pause in pauses:
        time.sleep(pause)
        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER, stream=True).close()
            return
        except requests.exceptions.SSLError:
            return  # a server answers; MLflow has its own settings of certificates
        except requests.exceptions.RequestException as exc:
            kind = type(exc).__name__
    parts = urlsplit(without_password(uri))
    raise xaicore.LoggerError(
        f"no MLflow server answers at {parts.scheme}://{parts.netloc} ({kind}); "
        "start it, or pass another tracking_uri= or MLFLOW_TRACKING_URI"
    )


def address(uri: str, experiment: str, run: str) -> str:
    """Where people see a run: its page on a server, or the command that shows a database."""
    shown, scheme = without_password(uri), urlsplit(uri).scheme
    if scheme in ("http", "https"):
        return f"mlflow: {shown.rstrip('/')}/#/experiments/{experiment}/runs/{run}"
    if scheme == "sqlite":
        return f"mlflow ui --backend-store-uri {shlex.quote(shown)} (run {run})"
    return f"mlflow: run {run} at {shown}"


def without_password(uri: str) -> str:
    """The address without user and password."""
    return re.sub("//[^/]*@", "//", uri)
