"""Who makes the shards of a run: this process, several of this machine, or those of a cluster."""

from __future__ import annotations

from xaicore.errors import InputError

__all__ = ["ENGINES", "check_engine"]

ENGINES = ("local", "ray")
"""What `engine=` may be."""


def check_engine(engine: str, address: str | None) -> None:
    """Refuse an engine that is not known, and an address for one that has none.

    Raises:
        InputError: see above.
    """
    if engine not in ENGINES:
        raise InputError(f"engine={engine!r}: expected one of {', '.join(map(repr, ENGINES))}")
    if address is not None and engine != "ray":
        raise InputError(f"address={address!r} is of a Ray cluster: pass engine='ray' with it")
