"""The contract as text: `python -m xaicore.testing [ID...]`, such as `state-` or `backend-batch`, prints its clauses.

`python -m xaicore.testing --lacks` prints what the tests of a backend may leave out.
"""

from __future__ import annotations

import argparse
import textwrap

from xaicore.testing.clauses import CLAUSES, KIT_VERSION, Clause
from xaicore.testing.lacking import FEATURES, Feature


def main() -> None:
    """Print the clauses whose ids start with what was typed; all of them where nothing was."""
    parser = argparse.ArgumentParser(prog="python -m xaicore.testing", description="Print the contract of plugins.")
    parser.add_argument("start", nargs="*", help="how the ids start that are printed, such as state- or backend-batch")
    parser.add_argument("--lacks", action="store_true", help="what the tests of a backend may leave out, instead")
    asked = parser.parse_args()
    if asked.lacks:
        print(*(lacking(name, one) for name, one in FEATURES.items()), sep="\n")
        return
    for start in asked.start:
        if not any(id.startswith(start) for id in CLAUSES):
            parser.error(f"no clause starts with {start!r}; ids start with {', '.join(areas())}")
    chosen = [clause for clause in CLAUSES.values() if not asked.start or clause.id.startswith(tuple(asked.start))]
    print(f"The contract of plugins, version {KIT_VERSION} of the kit: {len(chosen)} of {len(CLAUSES)} clauses")
    for clause in chosen:
        print(described(clause))


def areas() -> list[str]:
    """How ids start."""
    return list(dict.fromkeys(f"{id.partition('-')[0]}-" for id in CLAUSES))


def described(clause: Clause) -> str:
    """An id, and its text below."""
    since = "" if clause.since == 1 else f" (since version {clause.since} of the kit)"
    return f"\n{clause.id}{since}\n{textwrap.indent(textwrap.fill(clause.text, 100), '    ')}"


def lacking(name: str, one: Feature) -> str:
    """A name in `lacks`, what it is, and the method that supplies it."""
    return f"{name:<12} {one.text}{f' ({one.by})' if one.by else ''}"


if __name__ == "__main__":
    main()
