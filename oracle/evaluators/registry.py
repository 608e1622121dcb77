"""The evaluators by name, for whoever starts a node from the command line."""

from __future__ import annotations

from pathlib import Path

from oracle.evaluators.embedding import EmbeddingSimilarity, Relevance
from oracle.evaluators.evaluation import Evaluator, EvaluatorError
from oracle.evaluators.length import USUAL_WORDS, LengthPrior
from oracle.evaluators.lexical import TokenF1, TokenRecall
from oracle.evaluators.overlap import Chrf, RougeL
from oracle.evaluators.recorded import RecordedScores

_RECORDED = "recorded:"
_PLAIN = {
    evaluator.name: evaluator
    for evaluator in (TokenF1, TokenRecall, RougeL, Chrf, EmbeddingSimilarity, Relevance)
}


def names() -> tuple[str, ...]:
    """Return what `create` accepts; the last stands for any path."""
    return (*_PLAIN, LengthPrior.name, f"{_RECORDED}PATH")


def create(name: str, domain: str) -> Evaluator:
    """
    Return the evaluator of this name for a task domain; loads no model yet.

    Raises `EvaluatorError` for an unknown name, a domain that `length` has no prior for, or a
    file of recorded scores that cannot be used.
    """
    if name.startswith(_RECORDED):
        return RecordedScores(Path(name.removeprefix(_RECORDED)))
    if name == LengthPrior.name:
        if domain not in USUAL_WORDS:
            raise EvaluatorError(
                f"length knows no usual length for domain {domain!r}, only {sorted(USUAL_WORDS)}"
            )
        return LengthPrior(USUAL_WORDS[domain])
    if name not in _PLAIN:
        raise EvaluatorError(f"unknown evaluator {name!r}, expected one of {', '.join(names())}")
    return _PLAIN[name]()
