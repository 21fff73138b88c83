"""Turns: one after another for the same key, at once for others, and no longer than asked."""

from __future__ import annotations

import threading

import pytest

from tallystick.errors import StoreBusy
from tallystick.ledger.striped_locks import Turns


def test_holders_of_one_key_go_one_after_another() -> None:
    turns = Turns()
    inside, most, done = 0, 0, []

    def hold(n: int) -> None:
        nonlocal inside, most
        keys = ["a", "b"] if n % 2 else ["b", "a"]
        with turns.taken(keys, 10):
            inside += 1
            most = max(most, inside)
            inside -= 1
            done.append(n)

    threads = [threading.Thread(target=hold, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == list(range(40))
    assert most == 1


def test_a_turn_that_does_not_come_is_refused_and_takes_nothing() -> None:
    turns = Turns()
    refused = threading.Event()

    def ask() -> None:
        with pytest.raises(StoreBusy, match="same target"), turns.taken(["free", "held"], 0.05):
            pass
        refused.set()

    with turns.taken(["held"], 1):
        other = threading.Thread(target=ask)
        other.start()
        other.join(10)
        assert refused.is_set()
    with turns.taken(["free", "held"], 0.05):
        pass
