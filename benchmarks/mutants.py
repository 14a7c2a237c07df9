"""How many faults the kit finds in PyTorch's backend: `python -m benchmarks.mutants [--count 40] [--seed 0]`.

One operator, constant, condition or statement of the backend is changed at a time, in a copy, and the suite of
`xaicore.testing` runs. A fault that no test notices is printed; some change no result, such as what saves memory. Only
lines that the suite runs are changed: callbacks and models by name have tests of their own.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BACKEND = ROOT / "backends" / "xaicore_torch"
SUITE = "tests/torch/test_torch_kit.py"
SECONDS = 300  # a fault that makes the suite hang counts as found

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.USub: ast.UAdd},
}

HARMLESS = ("frozen", "strict", "eq")
"""Arguments that only guard against mistakes of programmers."""

TRACE = """
import atexit, sys, threading
seen = set()
def of_line(frame, event, _):
    seen.add((frame.f_code.co_filename, frame.f_lineno))
    return of_line
def of_call(frame, event, _):
    return of_line if frame.f_code.co_filename.startswith({backend!r}) else None
atexit.register(lambda: open({file!r}, "w").writelines(f"{{a}}\\t{{b}}\\n" for a, b in sorted(seen)))
threading.settrace(of_call)
sys.settrace(of_call)
import pytest
sys.exit(pytest.main({arguments!r}))
"""


def places(tree: ast.Module, lines: set[int]) -> Iterator[tuple[int, str]]:
    """(index in `ast.walk`, what changes) of each change to these lines."""
    harmless = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.keyword) and one.arg in HARMLESS}
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in harmless or getattr(node, "lineno", None) not in lines:
            continue
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
            yield index, "comparison"
        elif isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in SWAPS:
            yield index, "operator"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            yield index, "negation"
        elif isinstance(node, ast.Constant) and type(node.value) in (bool, int):
            yield index, "constant"
        elif isinstance(node, (ast.If, ast.IfExp)):
            yield index, "condition"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield index, "statement"


def mutate(source: str, index: int) -> str:
    """The source with one change."""
    tree = ast.parse(source)
    node = list(ast.walk(tree))[index]
    if isinstance(node, ast.Compare):
        node.ops = [SWAPS[type(node.ops[0])]()]
    elif isinstance(node, (ast.BoolOp, ast.BinOp)):
        node.op = SWAPS[type(node.op)]()
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else node.op
        if isinstance(node.op, ast.Not):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif isinstance(node, (ast.If, ast.IfExp)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Expr):
        node.value = ast.Constant(None)
    return ast.unparse(ast.fix_missing_locations(tree))


def run(arguments: list[str], before: Path | None = None) -> int:
    """The suite's exit status, with this folder's packages before the backend's own."""
    path = [str(before)] if before else []
    path += [str(ROOT), str(ROOT / "backends"), str(ROOT / "loggers"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode


def covered(folder: Path) -> dict[Path, set[int]]:
    """{file: the lines that the suite runs}."""
    file = folder / "lines"
    arguments = ["-q", "-p", "no:cacheprovider", SUITE]
    code = TRACE.format(backend=str(BACKEND), file=str(file), arguments=arguments)
    assert run(["-c", code]) == 0, "the suite fails without any change"
    found: dict[Path, set[int]] = {}
    for line in file.read_text().splitlines():
        name, _, number = line.rpartition("\t")
        found.setdefault(Path(name), set()).add(int(number))
    return found


def main() -> None:
    """Print each fault that is not found, and the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40, help="how many faults")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        lines = covered(Path(place))
        known = [
            (file, *change) for file in sorted(lines) for change in places(ast.parse(file.read_text()), lines[file])
        ]
        chosen = random.Random(asked.seed).sample(known, min(asked.count, len(known)))
        print(f"{len(known)} possible faults in {sum(map(len, lines.values()))} lines that the suite runs", flush=True)
        found = 0
        for n, (file, index, what) in enumerate(chosen, 1):
            copy = Path(place, "mutant", BACKEND.name)
            shutil.copytree(BACKEND, copy, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            source = file.read_text()
            (copy / file.relative_to(BACKEND)).write_text(mutate(source, index))
            is_found = run(["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", SUITE], copy.parent) != 0
            shutil.rmtree(copy)
            found += is_found
            if not is_found:
                node = list(ast.walk(ast.parse(source)))[index]
                shown = source.splitlines()[node.lineno - 1].strip()
                print(f"not found: {file.relative_to(ROOT)}:{node.lineno} {what}: {shown}", flush=True)
            print(f"{found} of {n}", end="\r" if sys.stdout.isatty() else "\n", flush=True)
        print(f"{found} of {len(chosen)} faults are found")


if __name__ == "__main__":
    main()
