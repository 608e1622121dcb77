"""The journal: nonces without a gap or a double, and nothing known that is not on the disk."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from oracle.chain.calls import Call
from oracle.chain.journal import Entry, Journal, JournalMalformed, Status, Version

CHAIN, SENDER = 1, "0x" + "11" * 20
CALL = Call("0x" + "22" * 20, b"\1\2")
EACH = 15
WRITERS = 3
KILLS = 5
MANY_KILLS = 300
ROOT = Path(__file__).resolve().parent.parent.parent

WRITER = """
import sys
from pathlib import Path
from typing import Any
from tests.chain.test_journal import reserve
from oracle.chain.journal import Journal
journal = Journal(Path(sys.argv[1]))
for i in range(int(sys.argv[3])):
    print(reserve(journal, f"{sys.argv[2]} {i}").nonce, flush=True)
"""


def sign(nonce: int) -> Version:
    return Version(nonce.to_bytes(32), b"raw", 10, 1, False, 5.0)


def reserve(journal: Journal, purpose: str, from_nonce: int = 0) -> Entry:
    entry, _ = journal.reserve(
        CHAIN,
        SENDER,
        purpose,
        CALL,
        gas=1,
        max_fee_per_gas=2**70,
        from_nonce=from_nonce,
        sign=sign,
    )
    return entry


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory" / "transactions.sqlite"


def test_what_is_no_journal_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"anything else" * 100)
    with pytest.raises(JournalMalformed, match=f"{path} is no journal of transactions: "):
        Journal(path)
    assert path.read_bytes() == b"anything else" * 100


def test_a_journal_with_a_damaged_page_is_refused(path: Path) -> None:
    """Found by broken inputs: it opened, and failed with SQLite's own words when it was read."""
    reserve(Journal(path), "a")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    page = 4_096
    content[page : page + 64] = b"\xff" * 64
    path.with_name("copy").write_bytes(content)
    with pytest.raises(JournalMalformed, match="its pages are damaged"):
        Journal(path.with_name("copy"))


def test_a_later_layout_is_refused(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(JournalMalformed, match="its layout is 9, not 1"):
        Journal(path)


def test_a_signature_that_fails_takes_no_nonce(path: Path) -> None:
    journal = Journal(path)

    def fail(nonce: int) -> Version:
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError):
        journal.reserve(CHAIN, SENDER, "a", CALL, gas=1, max_fee_per_gas=1, from_nonce=0, sign=fail)
    assert journal.entries() == []
    assert reserve(journal, "a").nonce == 0


def test_it_is_the_owners_alone_and_syncs_each_commit(path: Path) -> None:
    journal = Journal(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pragmas = [
        journal._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]
    assert pragmas == ["wal", 2]  # 2 is FULL


def test_what_is_written_is_read_back(path: Path) -> None:
    journal = Journal(path)
    entry = reserve(journal, "settle 1", from_nonce=7)
    assert (entry.nonce, entry.status, entry.max_fee_per_gas) == (7, Status.PENDING, 2**70)
    assert (entry.call, entry.newest, entry.created_at) == (CALL, sign(7), 5.0)
    outbid = Version(b"\7" * 32, b"more", 2**65, 2, True, 6.0)
    entry, added = journal.outbid(entry, outbid)
    assert added
    assert (entry.cancelling, entry.hashes) == (True, (sign(7).hash, outbid.hash))
    entry = journal.learn(entry, Status.MINED, 9)
    journal.close()
    assert Journal(path).entries() == [entry]


def test_who_read_it_before_somebody_else_changed_it_changes_nothing(path: Path) -> None:
    journal = Journal(path)
    stale = reserve(journal, "a")
    version = Version(b"\7" * 32, b"more", 11, 2, False, 6.0)
    current, _ = journal.outbid(stale, version)
    assert journal.outbid(stale, version) == (current, False)
    final = journal.learn(current, Status.FINAL, 3, settled=True)
    assert journal.learn(stale, Status.PENDING) == final


def test_threads_share_the_nonces(path: Path) -> None:
    journal = Journal(path)
    threads = [
        threading.Thread(target=lambda n=n: [reserve(journal, f"{n} {i}") for i in range(EACH)])
        for n in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.nonce for each in journal.unsettled(CHAIN, SENDER)] == list(range(WRITERS * EACH))


def test_processes_share_the_nonces(path: Path) -> None:
    writers = [writer(path, str(n), EACH) for n in range(WRITERS)]
    for each in writers:
        each.communicate(timeout=120)
    nonces = [each.nonce for each in Journal(path).unsettled(CHAIN, SENDER)]
    assert nonces == list(range(WRITERS * EACH))


def test_two_processes_with_one_purpose_sign_it_once(path: Path) -> None:
    writers = [writer(path, "same", EACH) for _ in range(WRITERS)]
    said = {each.communicate(timeout=120)[0] for each in writers}
    assert said == {"".join(f"{n}\n" for n in range(EACH))}


def kill(path: Path, kills: int) -> None:
    """Kill writers, and check that whatever one of them knew is on the disk."""
    known = 0
    for n in range(kills):
        process = writer(path, str(n), 10**6)
        assert process.stdout is not None
        for _ in range(1 + n % 4):
            known = max(known, int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        known = max([known, *map(int, process.communicate()[0].split())])
        nonces = [each.nonce for each in Journal(path).unsettled(CHAIN, SENDER)]
        assert nonces == list(range(len(nonces)))
        assert len(nonces) > known


def test_a_killed_process_leaves_no_gap_and_loses_nothing(path: Path) -> None:
    kill(path, KILLS)


@pytest.mark.reliability
def test_many_killed_processes(path: Path, record_property: Any) -> None:
    kill(path, MANY_KILLS)
    record_property(
        "figure",
        {
            "name": "processes killed while they wrote the journal, nothing lost",
            "value": MANY_KILLS,
            "goal": MANY_KILLS,
        },
    )
