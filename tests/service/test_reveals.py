"""The store of reveals: durable, private, one a seat."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oracle.core.facts import Reveal
from oracle.service.reveals import RevealStore

A, B = Reveal(0, b"a" * 32, b"\0\1"), Reveal(1, b"b" * 32, b"\0\2")

KEEPS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from oracle.core.facts import Reveal
from oracle.service.reveals import RevealStore

store = RevealStore(Path(sys.argv[1]))
store.keep(7, Reveal(0, b"a" * 32, bytes(2)))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reveals.sqlite"


def test_what_was_kept_survives_the_process(path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KEEPS_AND_DIES, str(path)], timeout=120, check=False
    )
    assert killed.returncode == -9
    assert RevealStore(path).of(7) == (Reveal(0, b"a" * 32, bytes(2)),)


def test_nobody_else_can_read_what_is_kept(path: Path) -> None:
    store = RevealStore(path)
    store.keep(7, A)
    files = list(path.parent.iterdir())
    assert len(files) > 1  # the write-ahead log
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_reveal_is_new_once(path: Path) -> None:
    store = RevealStore(path)
    assert [store.keep(7, A), store.keep(7, A), store.keep(8, A)] == [True, False, True]


def test_another_reveal_of_a_seat_takes_the_place_of_the_first(path: Path) -> None:
    store = RevealStore(path)
    store.keep(7, A)
    other = Reveal(A.seat, b"c" * 32, A.scores)
    assert store.keep(7, other) is True
    assert store.of(7) == (other,)


def test_rounds_do_not_mix(path: Path) -> None:
    store = RevealStore(path)
    for round_id, reveal in ((8, A), (7, B), (7, A)):
        store.keep(round_id, reveal)
    assert (store.of(7), store.of(8), store.of(9)) == ((A, B), (A,), ())
    assert (store.rounds(), store.count()) == ((7, 8), 3)
    store.drop([7, 9])
    assert (store.rounds(), store.of(8)) == ((8,), (A,))


def test_threads_may_keep_and_read_at_once(path: Path) -> None:
    store = RevealStore(path)

    def keep(seat: int) -> None:
        for round_id in range(1, 6):
            store.keep(round_id, Reveal(seat, bytes(32), bytes(2)))
            store.of(round_id)

    threads = [threading.Thread(target=keep, args=(seat,)) for seat in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 40
