"""
What `poq check` asks of this machine and of other services: files, keys, evaluator, oracles.

This module decides what counts as wrong there. It writes one file that is gone at once.
"""

from __future__ import annotations

import os
import stat
import tempfile

from oracle.service.checking import Concern
from oracle.service.subject import (
    KeyUnfit,
    NodeUnhealthy,
    Operator,
    SettingUnusable,
    TransactionsStuck,
)

ORACLE_TIMEOUT = 10.0  # seconds
STUCK_AFTER = 600.0  # seconds
TRIAL_DOMAIN = "qa"
PRIVATE = stat.S_IRWXG | stat.S_IRWXO
"""What nobody but the owner of a secret's file may have."""


def secrets(subject: Operator) -> str | None:
    """Can nobody else on this machine read keystore and password?"""
    if not subject.secrets:
        return None
    for path in subject.secrets:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise KeyUnfit(f"{path} cannot be read: {error.strerror}.") from None
        if mode & PRIVATE:
            raise KeyUnfit(f"{path} has mode {stat.S_IMODE(mode):04o}, not 0600.")
    return "Nobody else can read the keystore and its password."


def key(subject: Operator) -> str | None:
    """Does the password open the keystore?"""
    return None if subject.address is None else f"The key of {subject.address} opens."


def data_dir(subject: Operator) -> str | None:
    """Can the service write down what it must not forget?"""
    if subject.data_dir is None:
        return None
    there = subject.data_dir.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.NamedTemporaryFile(dir=there) as file:
            file.write(b"written")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingUnusable(f"{there} cannot be written to: {error.strerror}.") from None
    made = "" if there == subject.data_dir.absolute() else ", where it will be made"
    return f"{there} can be written to{made}."


def transactions(subject: Operator) -> str | None:
    """Is anything that was sent still waiting?"""
    from oracle.chain.journal import FILE, Journal, Status

    if subject.data_dir is None or not (path := subject.data_dir / FILE).exists():
        return None
    journal = Journal(path)
    try:
        entries = journal.entries(subject.chain_id, subject.address)
    finally:
        journal.close()
    pending = [entry for entry in entries if entry.status is Status.PENDING]
    stuck = [entry for entry in pending if subject.clock() - entry.created_at > STUCK_AFTER]
    if stuck:
        names = ", ".join(repr(entry.purpose) for entry in stuck[:5])
        raise TransactionsStuck(
            f"{len(stuck)} transactions wait for more than {STUCK_AFTER:.0f} s, first nonce "
            f"{min(entry.nonce for entry in stuck)}: {names}."
        )
    return f"{len(entries)} transactions in the journal, {len(pending)} of them on their way."


def evaluator(subject: Operator) -> str | None:
    """Does the evaluator load, with its model if it has one, and score?"""
    from oracle.evaluators.registry import create
    from oracle.evaluators.workload import Item

    if subject.evaluator is None:
        return None
    chosen = create(subject.evaluator, TRIAL_DOMAIN)
    if chosen.name.startswith("recorded:"):
        return f"{chosen.name} is a table of scores."
    trial = Item(
        id="1", prompt="Two and two?", output="Four.", node="trial", latency_ms=1, tokens=1,
        reference="Four." if chosen.needs_reference else None,
    )  # fmt: skip
    [score] = chosen.score([trial])
    return f"{chosen.name} loads, and gives {score:.2f} to a trial output."


def calibration(subject: Operator) -> str | None:
    """Was each calibration fitted for this evaluator, and one for each domain?"""
    from oracle.evaluators.calibration import CalibrationError, load
    from oracle.evaluators.registry import create

    if subject.evaluator is None:
        return None
    if not subject.calibrations:
        raise SettingUnusable(f"{subject.evaluator} has no calibration, and serves no domain.")
    domains: list[str] = []
    for path in subject.calibrations:
        fitted = load(path)
        fitted.check_fits(create(subject.evaluator, fitted.domain).name, fitted.domain)
        if fitted.domain in domains:
            raise CalibrationError(f"there are two calibrations for {fitted.domain}")
        domains.append(fitted.domain)
    return f"Fitted for {subject.evaluator} in {', '.join(domains)}."


def oracles(subject: Operator) -> str | None:
    """Does at least one oracle take reveals?"""
    import httpx

    if not subject.oracle_urls:
        return None
    silent = []
    for url in subject.oracle_urls:
        host = httpx.URL(url).host or url
        try:
            answer = httpx.get(f"{url.rstrip('/')}/readyz", timeout=ORACLE_TIMEOUT)
            if answer.status_code != httpx.codes.OK:
                silent.append(f"{host} answers {answer.status_code}")
        except httpx.HTTPError as error:
            silent.append(f"{host} does not answer ({type(error).__name__})")
    if len(silent) == len(subject.oracle_urls):
        raise NodeUnhealthy(f"No oracle takes reveals: {'; '.join(silent)}.")
    if silent:
        raise Concern(f"One oracle is enough, but {'; '.join(silent)}.")
    return f"{len(subject.oracle_urls)} answer and are ready."
