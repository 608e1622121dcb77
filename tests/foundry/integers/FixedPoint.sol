// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters} from "../../../contracts/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../../contracts/interfaces/INodeRegistry.sol";
import {Rewards} from "../../../contracts/libraries/Rewards.sol";
import {Trust} from "../../../contracts/libraries/Trust.sol";

/// @notice What the fixed-point functions promise, and that nothing in them overflows or is divided by zero, for every deployment's parameters
/// and all that the contracts let in, which is what each `require` says. Proved by the SMTChecker over the integers, of copies of the
/// libraries without the word `unchecked`: see `checked_copies.py`.
contract FixedPointClaims {
    uint256 private constant ONE = 10_000;
    uint256 private constant TRUST_ONE = 1_000_000;
    uint256 private constant MAX_RATE = 1_000_000;

    /// @dev Stays in bounds; does not fall within the tolerance, does not rise beyond it.
    function updated(TrustParameters memory p, uint256 w, uint256 f, uint256 tau, uint256 items) external pure {
        require(p.gain <= MAX_RATE && p.loss <= MAX_RATE && p.evidence > 0 && p.cap == TRUST_ONE);
        require(p.floor >= 1000 && p.floor <= TRUST_ONE && w >= p.floor && w <= TRUST_ONE);
        require(f <= ONE && tau <= MAX_RATE && items > 0 && items <= 4096);
        uint256 trust = Trust.updated(p, w, f, tau, items);
        assert(trust >= p.floor);
        assert(trust <= TRUST_ONE);
        assert(f > tau || trust >= w);
        assert(f <= tau || trust <= w);
    }

    /// @dev At most ONE and four times the deviation; what says nothing of the items counts as it is.
    function disagreement(uint256 d, uint256 b) external pure {
        require(d <= ONE && b <= ONE);
        uint256 f = Trust.disagreement(d, b);
        assert(f <= ONE);
        assert(f <= 4 * d);
        assert(d != b || f == d);
    }

    /// @dev At most the budget's share of one seat.
    function seat(RoundsParameters memory p, uint128 budget, uint256 panelSize, uint256 deviation, uint40 elapsed)
        external
        pure
    {
        _allow(p);
        require(panelSize >= 3 && panelSize <= 31 && deviation <= ONE);
        uint256 reward = Rewards.seat(p, budget, panelSize, deviation, elapsed);
        assert(reward * panelSize <= budget);
    }

    /// @dev Exactly what is above it has α·c > β·C.
    function threshold(RoundsParameters memory p, uint256 cost, uint256 c) external pure {
        _allow(p);
        require(cost <= ONE && c <= ONE);
        uint256 most = Rewards.threshold(p, cost);
        assert(c <= most || p.qualityWeight * c > p.costWeight * cost);
        assert(c > most || p.qualityWeight * c <= p.costWeight * cost);
    }

    /// @dev Of items that earn: each has α·c > β·C, so their sum has. At most the budget.
    function batch(RoundsParameters memory p, uint128 budget, uint256 items, uint256 cost, uint256 count, uint256 sum)
        external
        pure
    {
        _allow(p);
        require(items > 0 && items <= 4096 && count <= items && sum <= items * ONE && cost <= ONE);
        require(p.qualityWeight * sum >= count * p.costWeight * cost);
        uint256 reward = Rewards.batch(p, budget, items, cost, count, sum);
        assert(reward <= budget);
    }

    function _allow(RoundsParameters memory p) private pure {
        require(p.qualityWeight > 0 && p.qualityWeight <= ONE && p.costWeight <= ONE);
        require(p.closenessScale > 0 && p.closenessScale <= ONE && p.commitWindow > 0);
    }
}
