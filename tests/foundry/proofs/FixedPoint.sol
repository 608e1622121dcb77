// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters} from "../../../contracts/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../../contracts/interfaces/INodeRegistry.sol";
import {Rewards} from "../../../contracts/libraries/Rewards.sol";
import {Trust} from "../../../contracts/libraries/Trust.sol";

/// @notice What the fixed-point functions promise, with the parameters that deploy/parameters ships and all else in the ranges that the
/// contracts let in. Arguments are of the widths that those ranges need, so that a prover knows their upper bits.
contract FixedPointProofs {
    uint256 private constant ONE = 10_000;
    uint256 private constant TRUST_ONE = 1_000_000;
    uint256 private constant MAX_RATE = 1_000_000;
    uint24 private constant FLOOR = 3_000;

    /* TRUST */

    function check_updated_staysInBounds(uint24 w, uint16 f, uint24 tau, uint16 items) external pure {
        if (w < FLOOR || w > TRUST_ONE || f > ONE || tau > MAX_RATE || items == 0 || items > 4096) return;
        uint256 trust = Trust.updated(_trust(), w, f, tau, items);
        assert(trust >= FLOOR && trust <= TRUST_ONE);
    }

    function check_updated_gainsWithinTheTolerance(uint24 w, uint16 f, uint24 tau) external pure {
        if (w < FLOOR || w > TRUST_ONE || f > tau || tau > MAX_RATE) return;
        assert(Trust.updated(_trust(), w, f, tau, 20) >= w);
    }

    function check_updated_losesBeyondTheTolerance(uint24 w, uint16 f, uint24 tau) external pure {
        if (w < FLOOR || w > TRUST_ONE || f > ONE || f <= tau) return;
        uint256 trust = Trust.updated(_trust(), w, f, tau, 20);
        assert(trust < w || trust == FLOOR);
    }

    function check_disagreement_isAtMostOneAndFourTimesTheDeviation(uint16 d, uint16 b) external pure {
        if (d > ONE || b > ONE) return;
        uint256 f = Trust.disagreement(d, b);
        assert(f <= ONE && f <= 4 * uint256(d));
    }

    /// @dev What says nothing of the items counts as it is.
    function check_disagreement_ofAConstantIsItsDeviation(uint16 d) external pure {
        if (d > ONE) return;
        assert(Trust.disagreement(d, d) == d);
    }

    /* REWARDS */

    /// @dev Of a budget of ONE a seat, so that the reward is r.
    function check_seat_earnsAtMostItsShare(uint16 deviation, uint40 elapsed) external pure {
        if (deviation > ONE) return;
        assert(Rewards.seat(_rounds(), 5 * ONE, 5, deviation, elapsed) <= ONE);
    }

    function check_seat_earnsAllOfItsShareIfItAgreesAtOnce(uint128 budget) external pure {
        assert(Rewards.seat(_rounds(), budget, 5, 0, 0) == uint256(budget) / 5);
    }

    function check_seat_earnsNothingFromTheClosenessScaleOn(uint128 budget, uint16 deviation, uint40 elapsed) external pure {
        if (deviation < 4_000) return;
        assert(Rewards.seat(_rounds(), budget, 5, deviation, elapsed) == 0);
    }

    /// @dev Exactly the items above the threshold have α·c > β·C.
    function check_threshold_isTheGreatestConsensusThatEarnsNothing(uint16 cost, uint16 c) external pure {
        if (cost > ONE || c > ONE) return;
        bool earns = 10_000 * uint256(c) > 1_000 * uint256(cost);
        assert((c > Rewards.threshold(_rounds(), cost)) == earns);
    }

    /// @dev A batch that is the whole round, of a budget of one for each item and ONE².
    function check_batch_earnsAtMostTheBudget(uint16 items, uint16 count, uint32 sum, uint16 cost) external pure {
        if (items == 0 || items > 4096 || count > items || sum > count * ONE || cost > ONE) return;
        if (sum < count * (Rewards.threshold(_rounds(), cost) + 1)) return;
        uint256 budget = items * ONE * ONE;
        assert(Rewards.batch(_rounds(), budget, items, cost, count, sum) <= budget);
    }

    function _trust() private pure returns (TrustParameters memory) {
        return TrustParameters(20_000, 80_000, 1_200, 25_000, 20, FLOOR, uint32(TRUST_ONE));
    }

    function _rounds() private pure returns (RoundsParameters memory) {
        return RoundsParameters(2, 600, 300, 900, 1, 10_000, 1_000, 4_000);
    }
}
