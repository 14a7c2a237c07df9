"""What gets to a terminal: literal text, a bar that goes away, warnings as lines."""

from __future__ import annotations

import io
import os
import re
import warnings

import pytest
from clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from xaicore.cli.screen import Bar, console, count, plain, remark, text, warnings_as_lines


def screen(terminal: bool = False, width: int = 60) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=width,
        markup=False,
        emoji=False,
        highlight=False,
        color_system=None,
        legacy_windows=False,
    )


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_printable_text_stays_as_it_is(words: str) -> None:
    assert plain(words) == words
    assert text(words).plain == words


def test_control_characters_show_as_escapes() -> None:
    assert plain("a\x1b[31mb\tc\u202ed\x00\ne") == "a\\x1b[31mb\\tc\\u202ed\\x00\ne"
    assert text("a\nb").plain == "a\\nb"
    assert plain(os.fsdecode(b"caf\xe9")) == "caf\\udce9"
    assert plain(3) == "3"


def test_markup_and_emoji_are_printed_literally() -> None:
    stream = screen()
    table = Table()
    table.add_column(text("[bold]h[/bold]"))
    table.add_row(text("[red]:smile:[/red]"))
    stream.print(table)
    remark(stream, "[link=x]:cat:[/link] [/nothing]")
    for words in ("[bold]h[/bold]", "[red]:smile:[/red]", "[link=x]:cat:[/link] [/nothing]\n"):
        assert words in printed(stream)


def test_the_consoles_take_strings_literally(capsys: pytest.CaptureFixture[str]) -> None:
    words = "[b]:smile:[/b] " + "x" * 300
    console().print(words)
    console(stderr=True).print(words)
    assert capsys.readouterr() == (words + "\n", words + "\n")


def test_long_remarks_are_left_to_the_terminal_to_wrap() -> None:
    stream = screen(width=10)
    remark(stream, "x" * 50)
    assert printed(stream) == "x" * 50 + "\n"


def test_count() -> None:
    assert [count(n, "picture") for n in (0, 1, 2)] == ["0 pictures", "1 picture", "2 pictures"]


def test_warnings_are_lines_and_only_inside() -> None:
    stream = screen()
    before = warnings.showwarning
    with warnings_as_lines(stream):
        warnings.warn("logger 'a' is [off]", RuntimeWarning, stacklevel=1)
        warnings.warn(UserWarning("two\x1b"), stacklevel=1)
    assert printed(stream) == "warning: logger 'a' is [off]\nwarning: two\\x1b\n"
    assert warnings.showwarning is before


def test_warnings_that_are_errors_stay_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with warnings_as_lines(screen()), pytest.raises(RuntimeWarning, match=r"^as asked$"):
            warnings.warn("as asked", RuntimeWarning, stacklevel=1)


def test_a_terminal_gets_a_bar_which_goes_away() -> None:
    stream = screen(terminal=True)
    with Bar(stream, 4) as bar:
        bar.show(3)
        remark(stream, "above the bar")
    shown = printed(stream)
    assert "explaining" in shown
    assert "3/4" in shown
    assert "above the bar\n" in shown
    assert shown.endswith("\x1b[2K")  # the bar's line is erased


def test_passes_have_a_line_of_their_own_until_their_pictures_are_done() -> None:
    stream = screen(terminal=True, width=100)
    with Bar(stream, 4) as bar:
        bar.show_passes(16, 2048)
        bar.show_passes(32, 2048)
    assert re.search(r"changed pictures.* 32/2048", printed(stream))
    stream = screen(terminal=True, width=100)
    with Bar(stream, 4) as bar:
        bar.show_passes(32, 2048)
        bar.show(1)
    assert "1/4" in printed(stream)
    assert "changed pictures" not in printed(stream)


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_elsewhere_at_most_ten_lines_and_the_last_one_is_the_end(total: int, data: st.DataObject) -> None:
    steps = sorted(data.draw(st.sets(st.integers(1, total))) | {total})
    stream = screen()
    with Bar(stream, total) as bar:
        for done in steps:
            bar.show(done)
            bar.show_passes(1, 2)
    lines = printed(stream).splitlines()
    assert len(lines) <= 10
    assert lines[-1] == f"{total} of {total} pictures"
    assert "\x1b" not in printed(stream)


def test_elsewhere_long_work_has_a_line_a_minute_with_the_rate_and_the_time_left(clock: Clock) -> None:
    stream = screen(width=200)
    with Bar(stream, 100_000) as bar:
        clock.now += 0.1
        bar.show(2000)  # had been there already
        for done in range(2250, 5250, 250):
            clock.now += 10
            bar.show(done)
        clock.now += 10
        bar.show(10_000)
        clock.now += 3600
        bar.show(100_000)
    assert printed(stream).splitlines() == [
        "3500 of 100000 pictures, 25 per second, 1 h 4 min left",
        "5000 of 100000 pictures, 25 per second, 1 h 3 min left",
        "10000 of 100000 pictures, 104 per second, 14 min left",
        "100000 of 100000 pictures, 25 per second",
    ]


def test_what_had_been_there_already_is_not_of_the_rate(clock: Clock) -> None:
    stream = screen(width=200)
    with Bar(stream, 9000) as bar:
        bar.show(2000)
        clock.now += 10
        bar.show(3000)
    assert printed(stream).splitlines() == [
        "2000 of 9000 pictures",
        "3000 of 9000 pictures, 100 per second, 1 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "59 s"), (61, "1 min"), (3599, "1 h 0 min"), (12_000, "3 h 20 min"), (97_000, "1 d 2 h")],
)
def test_time_left_in_words(seconds: int, words: str, clock: Clock) -> None:
    stream = screen()
    with Bar(stream, seconds + 60) as bar:
        clock.now += 60
        bar.show(60)
    assert printed(stream).endswith(f"60 of {seconds + 60} pictures, 1 per second, {words} left\n")
