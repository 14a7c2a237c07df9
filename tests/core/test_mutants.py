"""The lists of faults that do not count name code that is there."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from benchmarks.mutants.beyond import BEYOND
from benchmarks.mutants.faults import faults
from benchmarks.mutants.harmless import HARMLESS

BACKENDS = Path(__file__).resolve().parents[2] / "backends"


def modules(backend: str) -> dict[str, ast.Module]:
    folder = BACKENDS / f"xaicore_{backend}"
    return {str(file.relative_to(folder)): ast.parse(file.read_text()) for file in folder.rglob("*.py")}


def functions(parent: ast.AST, prefix: str = "") -> list[str]:
    """Those of a module or class, with the class's name before them."""
    found = []
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            found += functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            found.append(prefix + node.name)
    return found


@pytest.mark.parametrize("backend", BEYOND)
def test_what_is_beyond_the_contract_is_a_module_or_a_function(backend: str) -> None:
    there = {*modules(backend)}
    there |= {f"{file}:{name}" for file, module in modules(backend).items() for name in functions(module)}
    assert {*BEYOND[backend]} - there == set()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other Pythons unparse code with other brackets")
def test_what_is_harmless_is_a_fault() -> None:
    there = {
        (fault.file, fault.text, fault.what)
        for backend in BEYOND
        for file, module in modules(backend).items()
        for fault in faults(file, ast.unparse(module))
    }
    assert {*HARMLESS} - there == set()
