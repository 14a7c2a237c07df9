"""Names of files, tags and keys stay what they were: runs that go on, and what people search for, depend on them."""

from __future__ import annotations

import hashlib
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

import xaicore
from xaicore_disk import names
from xaicore_mlflow import table
from xaicore_tensorboard import text as tensorboard
from xaicore_wandb import entry

NASTY = (
    *("a/b", "a_b", "../../etc/passwd", "..", "", " ", " a b", "a\nb", "é.jpg", "e\u0301.jpg", "\udcff.jpg", "\x00"),
    *("x" * 300, "x" * 299 + "y", "-rf", "--", "a-0123456789abcdef", "a-0123456789ABCDEF", "cat.jpg", "n02_Dog+1"),
)
HASHED = re.compile(r"-[0-9a-f]{16}$")

TEXT = st.text(st.characters(exclude_categories=())) | st.text("ab0-_.+ /\udc80", max_size=90)
"""Lone surrogates as well: Python reads file names that are no UTF-8 as such."""


def oracle_hashed(text: str, unsafe: str, length: int) -> str:
    safe = re.sub(unsafe, "_", text)[-length:].strip()
    if safe == text and text and not HASHED.search(text):
        return text
    return f"{safe}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def oracle_slug(text: str, length: int = 80) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:length].lstrip("-") or "_"


def oracle_digest(*parts: str | bytes) -> str:
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


def nasty(test: object) -> object:
    for text in NASTY:
        test = example(text)(test)
    return settings(max_examples=200)(test)


@nasty
@given(TEXT)
def test_parts_of_tensorboards_tags(text: str) -> None:
    assert tensorboard.tag_part(text) == oracle_hashed(text, r"[^\w.+ -]+", 60)


@nasty
@given(TEXT)
def test_parts_of_mlflows_keys(text: str) -> None:
    for length in (16, 24, 36):
        assert table.key_part(text, length=length) == oracle_hashed(text, r"[^A-Za-z0-9_.-]+", length)


def test_mlflows_parts_have_36_characters() -> None:
    assert table.key_part("x" * 50) == oracle_hashed("x" * 50, r"[^A-Za-z0-9_.-]+", 36)
    assert len(table.key_part("x" * 50)) == 36 + 1 + 16


@nasty
@given(TEXT)
def test_parts_of_wandbs_keys(text: str) -> None:
    said = text.encode("utf-8", "backslashreplace").decode()
    assert entry.key_part(text) == re.sub(r"[^A-Za-z0-9_+-]+", "_", said)[:80]


@nasty
@given(TEXT)
def test_names_of_files_and_folders_on_disk(text: str) -> None:
    assert names.slug(text) == oracle_slug(text)
    assert names.slug(text, 24) == oracle_slug(text, 24)
    assert names.digest(text) == oracle_digest(text)
    safe = oracle_slug(text)
    assert names.folder_name(text) == (safe if safe == text else f"{safe}-{oracle_digest(text)}")


@given(st.lists(st.binary() | TEXT))
def test_digests(parts: list[str | bytes]) -> None:
    assert xaicore.show.digest(*parts) == oracle_digest(*parts)


def test_some_names_in_full() -> None:
    """Written down before one function made them all."""
    assert tensorboard.tag_part("a/b") == "a_b-0debd2558bca8fa0"
    assert tensorboard.tag_part("") == "-e4a6a0577479b2b4"
    assert table.key_part("block 1") == "block_1-3f184800d294f652"
    assert names.folder_name("../../first try") == "_first_try-2abd9ae7aaa91575"
    assert names.digest("ab", "c") == "bdacf99855a60c09"
