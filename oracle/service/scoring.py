"""
From a round to the row of scores that a seat commits to.

This module decides that a row exists only if everything about it is right: the file has the round's
hash, the round's domain and as many items, the evaluator gave a score for each, and the scale was
fitted for this evaluator in this domain. Anything else is an error with a reason, never a row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from oracle.core.facts import Opening
from oracle.core.units import pack
from oracle.evaluators.calibration import Calibration, CalibrationError
from oracle.evaluators.evaluation import Evaluator, evaluate
from oracle.evaluators.registry import create
from oracle.evaluators.workload import WorkloadError, parse
from oracle.service.fetching import Sources, fetch


class Scorer:
    """
    Scores workloads with the evaluator called `name`, one at a time; safe for threads.

    There is a calibration for each domain that it serves, and none twice: `CalibrationError`.
    """

    def __init__(self, name: str, calibrations: Iterable[Calibration], sources: Sources) -> None:
        self._sources = sources
        self._calibrations: dict[str, Calibration] = {}
        self._evaluators: dict[str, Evaluator] = {}
        self._lock = threading.Lock()
        for each in calibrations:
            if each.domain in self._calibrations:
                raise CalibrationError(f"there are two calibrations for {each.domain}")
            self._calibrations[each.domain] = each
            self._evaluators[each.domain] = evaluator = create(name, each.domain)
            each.check_fits(evaluator.name, each.domain)

    def row(self, opening: Opening, uri: str) -> bytes:
        """
        Return the packed scores of a round's items.

        Raises `NotFetched`, `WorkloadError`, `CalibrationError`, `EvaluatorError`, `QuantiseError`,
        and whatever the evaluator raises.
        """
        terms = opening.terms
        domain = terms.domain.rstrip(b"\0").decode("ascii", "backslashreplace")
        if (calibration := self._calibrations.get(domain)) is None:
            raise CalibrationError(f"there is no calibration for domain {domain!r}")
        content = parse(fetch(uri, terms.workload_hash, self._sources), terms.workload_hash)
        if content.domain != domain:
            raise WorkloadError(0, f"its domain is {content.domain!r}, the round's is {domain!r}")
        if len(content.items) != opening.items:
            raise WorkloadError(
                0, f"it has {len(content.items)} items, the round has {opening.items}"
            )
        with self._lock:
            return pack(evaluate(self._evaluators[domain], content, calibration))
