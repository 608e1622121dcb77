"""The peers: by hand, by their invariances, and where truth is known."""

from __future__ import annotations

import csv
from collections import defaultdict
from math import inf, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2

from oracle.study.baselines.catd import catd
from oracle.study.baselines.crh import crh, pm
from oracle.study.baselines.gtm import gtm
from oracle.study.baselines.inference import CAP, Answers
from oracle.study.baselines.paper_rule import PaperRule
from oracle.study.baselines.peers import PEERS

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NAMES = sorted(PEERS)
BAD = [np.empty((0, 0)), np.empty((3, 0)), np.full((3, 2), np.nan), np.array([[1.0, np.nan]])]


def noisy(
    seed: int, items: int, noises: NDArray[np.float64], seated: float = 1.0
) -> tuple[NDArray[np.float64], Answers]:
    """Return a truth and answers with these standard deviations, some of them missing."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 1, items)
    answers = truth + rng.normal(size=(len(noises), items)) * noises[:, np.newaxis]
    missing = rng.random(answers.shape) >= seated
    missing[rng.integers(len(noises), size=items), np.arange(items)] = False
    answers[missing] = np.nan
    return truth, answers


def error(estimate: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.sqrt(((estimate - truth) ** 2).mean()))


UNEQUAL = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.3, 0.4])

# What cannot be


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answers", BAD)
def test_an_item_that_nobody_answered_has_no_truth(name: str, answers: Answers) -> None:
    with pytest.raises(ValueError, match="without any"):
        PEERS[name]().fit(answers)
    with pytest.raises(ValueError, match="without any"):
        PEERS[name]().observe(answers)


@pytest.mark.parametrize("answers", BAD[2:])
def test_the_papers_rule_refuses_an_item_that_nobody_answered(answers: Answers) -> None:
    with pytest.raises(ValueError, match="leave an item out"):
        PaperRule(0.1).observe(answers)


def test_a_population_does_not_change_between_rounds() -> None:
    peer, rule = crh(), PaperRule(0.1)
    for one in (peer, rule):
        one.observe(np.ones((3, 2)))
        with pytest.raises(ValueError):
            one.observe(np.ones((4, 2)))


# By hand: two say 0 and one says 3, so that distances from their mean are −1, −1, 2, in units of √2

ONE_ITEM = np.array([[0.0], [0.0], [3.0]])


def test_one_step_of_crh_by_hand() -> None:
    estimate = crh(steps=1, cap=inf).fit(ONE_ITEM)
    # Squared distances ½, ½, 2: parts of 1/6, 1/6, 2/3.
    assert estimate.weights == pytest.approx([log(6), log(6), log(1.5)])
    assert estimate.truth == pytest.approx([3 * log(1.5) / (2 * log(6) + log(1.5))])


def test_one_step_of_pm_by_hand() -> None:
    estimate = pm(steps=1).fit(ONE_ITEM)
    assert estimate.weights == pytest.approx([log(4), log(4), 0])
    assert estimate.truth == pytest.approx([0])


def test_one_step_of_catd_by_hand() -> None:
    estimate = catd(steps=1, cap=inf).fit(ONE_ITEM)
    bound = chi2.ppf(0.025, 1)
    assert estimate.weights == pytest.approx([2 * bound, 2 * bound, bound / 2])
    assert estimate.truth == pytest.approx([3 * 0.5 / 4.5])


def test_one_step_of_the_gaussian_model_by_hand() -> None:
    estimate = gtm(steps=1).fit(ONE_ITEM)
    near, far = 23 / 20.5, 23 / 22
    assert estimate.weights == pytest.approx([near, near, far])
    # The prior pulls the item to its mean, 1, with a weight of 1.
    assert estimate.truth == pytest.approx([(1 * 1 + 0 * near + 3 * far) / (1 + 2 * near + far)])


def test_two_rounds_of_the_papers_rule_by_hand() -> None:
    rule = PaperRule(0.4)
    first = rule.observe(np.array([[0.0], [0.0], [0.9]]))
    assert first.truth == pytest.approx([0.3])
    # Deviations 0.3, 0.3, 0.6: weights 1 + 0.4·0.2, twice, and 1 − 0.4·0.1.
    second = rule.observe(np.array([[0.5], [np.nan], [1.0]]))
    assert second.weights == pytest.approx([1.08, np.nan, 0.96], nan_ok=True)
    assert second.truth == pytest.approx([(1.08 * 0.5 + 0.96) / 2.04])
    third = rule.observe(np.array([[0.5], [0.5], [0.5]]))
    assert third.weights[1] == pytest.approx(1.08)  # who has no seat keeps its weight


def test_the_papers_weights_stay_within_their_bounds() -> None:
    rule = PaperRule(0.9, least=0.25, most=4.0)
    for _ in range(50):
        weights = rule.observe(np.array([[0.0], [0.0], [0.0], [1.0]])).weights
    assert weights == pytest.approx([4, 4, 4, 0.25])


# Invariances


@pytest.mark.parametrize("name", NAMES)
def test_what_all_say_is_the_truth(name: str) -> None:
    answers = np.tile([0.1, 0.7, 0.0], (4, 1))
    estimate = PEERS[name]().fit(answers)
    assert estimate.truth == pytest.approx(answers[0])
    assert np.ptp(estimate.weights) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_a_fixed_point(name: str) -> None:
    _, answers = noisy(1, 40, UNEQUAL, seated=0.8)
    estimate = PEERS[name]().fit(answers)
    given = ~np.isnan(answers)
    weights = np.where(given, estimate.weights[:, np.newaxis], 0.0)
    prior = 1.0 if name == "gtm" else 0.0
    total = (weights * np.where(given, answers, 0.0)).sum(axis=0)
    again = (total + prior * np.nanmean(answers, axis=0)) / (weights.sum(axis=0) + prior)
    assert estimate.truth == pytest.approx(again)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(-5, 5),
    scale=st.floats(0.1, 20),
    name=st.sampled_from(NAMES),
)
def test_another_scale_or_order_changes_nothing_else(
    seed: int, shift: float, scale: float, name: str
) -> None:
    _, answers = noisy(seed, 12, UNEQUAL, seated=0.7)
    order = np.random.default_rng(seed).permutation(len(answers))
    plain = PEERS[name]().fit(answers)
    other = PEERS[name]().fit(answers[order] * scale + shift)
    assert other.truth == pytest.approx(plain.truth * scale + shift, abs=1e-5 * scale)
    assert other.weights == pytest.approx(plain.weights[order], rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
def test_who_has_no_seat_is_as_good_as_not_there(name: str) -> None:
    _, answers = noisy(2, 15, UNEQUAL)
    wider = np.vstack([answers[:3], np.full((1, 15), np.nan), answers[3:]])
    alone, among = PEERS[name]().fit(answers), PEERS[name]().fit(wider)
    assert among.truth == pytest.approx(alone.truth)
    assert np.isnan(among.weights[3])


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_left_as_they_are(name: str) -> None:
    _, answers = noisy(3, 10, UNEQUAL, seated=0.6)
    before = answers.copy()
    peer = PEERS[name]()
    peer.fit(answers)
    peer.observe(answers)
    np.testing.assert_array_equal(answers, before)


# Online


@pytest.mark.parametrize("name", NAMES)
def test_the_first_round_online_is_that_round_offline(name: str) -> None:
    _, answers = noisy(4, 20, UNEQUAL)
    online, offline = PEERS[name]().observe(answers), PEERS[name]().fit(answers)
    assert online.truth == pytest.approx(offline.truth)


@pytest.mark.parametrize("name", NAMES)
def test_a_round_online_knows_the_past(name: str) -> None:
    _, past = noisy(5, 200, UNEQUAL)
    _, now = noisy(6, 3, UNEQUAL)
    peer = PEERS[name]()
    peer.observe(past)
    known = peer.observe(now)
    assert not np.allclose(known.truth, PEERS[name]().fit(now).truth)
    assert known.weights[0] > known.weights[-1]


@pytest.mark.parametrize("name", NAMES)
def test_fitting_does_not_disturb_what_was_observed(name: str) -> None:
    rounds = [noisy(seed, 8, UNEQUAL, seated=0.8)[1] for seed in range(3)]
    one, two = PEERS[name](), PEERS[name]()
    for answers in rounds:
        two.fit(rounds[0])
        assert one.observe(answers).truth == pytest.approx(two.observe(answers).truth)


def test_a_past_that_decays_is_overcome_sooner() -> None:
    good, bad = np.array([0.01, 0.2, 0.2, 0.2]), np.array([1.0, 0.2, 0.2, 0.2])
    keeping, forgetting = crh(), crh(decay=0.5)
    for peer in (keeping, forgetting):
        for seed in range(10):
            peer.observe(noisy(seed, 20, good)[1])
    for seed in range(20, 24):
        answers = noisy(seed, 20, bad)[1]
        kept, forgot = keeping.observe(answers), forgetting.observe(answers)
    assert forgot.weights[0] < kept.weights[0]


# Where truth is known


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seated", [1.0, 0.6])
def test_unequal_evaluators_are_told_apart_better_than_by_the_mean(
    name: str, seated: float
) -> None:
    truth, answers = noisy(7, 400, UNEQUAL, seated)
    estimate = PEERS[name]().fit(answers)
    mean = error(np.nanmean(answers, axis=0), truth)
    assert error(estimate.truth, truth) < 0.85 * mean
    assert estimate.weights[0] > estimate.weights[-1]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_told_apart_online_as_well(name: str) -> None:
    rng = np.random.default_rng(8)
    peer, ours, means = PEERS[name](), [], []
    for seed in range(60):
        truth, answers = noisy(seed, 10, UNEQUAL)
        answers[rng.permutation(len(UNEQUAL))[:2]] = np.nan
        estimate = peer.observe(answers)
        ours.append(error(estimate.truth, truth))
        means.append(error(np.nanmean(answers, axis=0), truth))
    assert np.mean(ours[20:]) < 0.85 * np.mean(means[20:])


@pytest.mark.parametrize("name", NAMES)
def test_liars_in_the_minority_weigh_less(name: str) -> None:
    truth, answers = noisy(9, 200, np.full(10, 0.1))
    answers[:3] = 1.0
    estimate = PEERS[name]().fit(answers)
    assert estimate.weights[:3].max() < estimate.weights[3:].min()
    assert error(estimate.truth, truth) < error(answers.mean(axis=0), truth)


def test_without_a_cap_catd_makes_a_dictator_and_with_one_it_does_not() -> None:
    _, answers = noisy(10, 300, np.array([0.01, 0.2, 0.2, 0.2, 0.2]))
    free, bound = catd(cap=inf).fit(answers), catd().fit(answers)
    assert free.weights[0] > 0.95 * free.weights.sum()
    assert bound.weights.max() == pytest.approx(CAP * np.median(bound.weights))


def test_on_real_ratings_that_are_sparse_they_stay_with_the_mean() -> None:
    path = SHARED / "gal_adult2.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    gold = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            scores[row["evaluator_id"]][row["item_id"]] = float(row["score01"])
            gold[row["item_id"]] = float(row["reference01"])
    items = sorted(gold)
    answers = np.array([[scores[e].get(item, np.nan) for item in items] for e in sorted(scores)])
    reference = np.array([gold[item] for item in items])

    def pearson(truth: NDArray[np.float64]) -> float:
        return float(np.corrcoef(truth, reference)[0, 1])

    mean = pearson(np.nanmean(answers, axis=0))
    offline = {name: pearson(peer().fit(answers).truth) for name, peer in PEERS.items()}
    assert all(value > mean - 0.02 for value in offline.values()), (mean, offline)
    assert max(offline, key=lambda name: offline[name]) == "gtm"
    assert offline["gtm"] > mean
