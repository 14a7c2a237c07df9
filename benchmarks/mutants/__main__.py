"""How many faults in a backend are found: `python -m benchmarks.mutants [torch|keras] [--count 40] [--seed 0]`.

One operator, constant, condition or statement is changed at a time, in a copy, and those tests run that run its line:
first those of the kit, `xaicore.testing`; where none fails, those of the backend itself. What neither finds is printed.
Keras runs on torch.

Faults are drawn from the lines that the kit runs, or with `--lines tests` from those that any test runs: callbacks and
models by name have tests of their own. Those that change no result, such as what saves memory, are listed in
`harmless.py`, and do not count. Those in what one framework alone has, which no clause of the contract speaks of, are
counted apart: `beyond.py` lists these modules and functions. What was found is kept in .cache/mutants, so that a run
that was stopped goes on; `--again` tries again what nothing found. Noting which lines the tests run takes minutes for
all of a backend's own; `--files` names those that are enough.
"""

from __future__ import annotations

import argparse
import json
import random
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.mutants import suites
from benchmarks.mutants.beyond import beyond
from benchmarks.mutants.faults import Fault, faults
from benchmarks.mutants.harmless import HARMLESS
from benchmarks.mutants.suites import Seen, Suites


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backend", nargs="?", choices=("torch", "keras"), default="torch")
    parser.add_argument("--count", type=int, default=40, help="how many faults")
    parser.add_argument("--seed", type=int, default=0, help="which ones; a larger count goes on where a smaller ended")
    parser.add_argument("--lines", choices=("kit", "tests"), default="kit", help="from which lines they are drawn")
    parser.add_argument("--kit-only", action="store_true", help="do not try the backend's own tests")
    parser.add_argument("--files", nargs="+", help="try only these of the backend's own files of tests, by their names")
    parser.add_argument("--seconds", type=float, default=30, help="of the backend's own tests for each fault")
    parser.add_argument("--again", action="store_true", help="try again what was not found")
    return parser.parse_args()


def drawn(of: Suites, kit: Seen, others: Seen, asked: argparse.Namespace) -> list[Fault]:
    """Faults by chance, the same ones for the same seed and backend."""
    known = []
    for name, lines in suites.modules(kit if asked.lines == "kit" else {**kit, **others}):
        known += [fault for fault in faults(name, of.sources[name]) if fault.line in lines and fault.is_in_function]
    print(f"{len(known)} possible faults in lines that the {asked.lines} runs", flush=True)
    random.Random(asked.seed).shuffle(known)
    return [fault for fault in known if (fault.file, fault.text, fault.what) not in HARMLESS][: asked.count]


def tried_by_kit(of: Suites, fault: Fault, kit: Seen) -> dict[str, Any]:
    """Which test of the kit finds a fault."""
    by_kit = of.choose(fault, kit, float("inf"))
    return {"kit": of.finds(fault, by_kit) if by_kit else None}


def tried_by_others(of: Suites, fault: Fault, others: Seen, seconds: float) -> dict[str, Any]:
    """Which of the backend's own tests finds a fault that the kit does not."""
    by_others = of.choose(fault, others, seconds)
    return {"kit": None, "tests": of.finds(fault, by_others) if by_others else None, "tried": len(by_others)}


def main() -> None:
    """Print each fault that is not found, and the scores."""
    asked = arguments()
    of = suites.of(asked.backend)
    kit = of.seen([of.kit])
    others = {} if asked.kit_only else of.seen(of.named(asked.files))
    store = of.cache / f"found-{of.digest}-{of.kit_digest}.json"
    results: dict[str, dict[str, Any]] = json.loads(store.read_text()) if store.exists() else {}
    chosen, console = drawn(of, kit, others, asked), Console(soft_wrap=True)
    for fault in track(chosen, "faults", console=console):
        result = results.get(fault.name)
        if result is None or (asked.again and not result["kit"]):
            result = tried_by_kit(of, fault, kit)
        if not (result["kit"] or "tests" in result or asked.kit_only):
            result = tried_by_others(of, fault, others, asked.seconds)
        if result != results.get(fault.name):
            results[fault.name] = result
            store.write_text(json.dumps(results, indent=1))
        if not result["kit"]:
            by = result.get("tests") or ("not the kit" if asked.kit_only else f"none of {result.get('tried', 0)} tests")
            reason = beyond(asked.backend, fault)
            text = f"{of.place(fault)} {fault.what}: {fault.text}\n    becomes {of.changed(fault)}\n    found by {by}"
            text += f"\n    beyond the contract: {reason}" if reason else ""
            console.print(text, markup=False, highlight=False)
    reached = [fault for fault in chosen if beyond(asked.backend, fault) is None]
    others = [fault for fault in chosen if fault not in reached]
    print(score("in the contract's reach", reached, results, asked.kit_only))
    print(score("beyond the contract", others, results, asked.kit_only))


def score(where: str, chosen: list[Fault], results: dict[str, dict[str, Any]], kit_only: bool) -> str:
    """Of the kit alone, and with the backend's own tests."""
    by_kit = sum(bool(results[fault.name]["kit"]) for fault in chosen)
    text = f"of {len(chosen)} faults {where}, the kit finds {by_kit}"
    if not chosen:
        return text
    text += f" ({by_kit / len(chosen):.0%})"
    if kit_only:
        return text
    both = by_kit + sum(bool(results[fault.name].get("tests")) for fault in chosen)
    return f"{text}, the kit or the backend's own tests {both} ({both / len(chosen):.0%})"


if __name__ == "__main__":
    main()
