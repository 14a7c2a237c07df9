"""The garbage collector is as it was, whatever happens meanwhile."""

from __future__ import annotations

import gc

import pytest

from xaicore.cli.memory import uncollected


def test_what_is_built_is_not_collected_until_the_end() -> None:
    before = gc.get_freeze_count()
    with uncollected(lambda: (gc.isenabled(), [])) as (enabled_meanwhile, made):
        assert not enabled_meanwhile
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
        assert not any(one is made for one in gc.get_objects(generation=0))
    assert gc.get_freeze_count() == before == 0


def test_after_a_mistake() -> None:
    with pytest.raises(ZeroDivisionError), uncollected(lambda: 1 / 0):
        pass
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
    with pytest.raises(ZeroDivisionError), uncollected(list):
        raise ZeroDivisionError
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected(list):
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
