// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters} from "../../../contracts/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../../contracts/interfaces/INodeRegistry.sol";
import {Rewards} from "../../../contracts/libraries/Rewards.sol";
import {Trust} from "../../../contracts/libraries/Trust.sol";

/// @notice What the fixed-point functions promise, for all arguments in the ranges that the contracts let in. Arguments are of the widths
/// that those ranges need, so that a prover knows their upper bits.
contract FixedPointProofs {
    uint256 private constant ONE = 10_000;
    uint256 private constant TRUST_ONE = 1_000_000;

    /* TRUST */

    /// @dev For every deployment, trust, disagreement, tolerance and size of a round.
    function check_updated_staysInBounds(uint24 w, uint16 f, uint24 tau, uint16 items, uint24 gain, uint24 loss, uint16 evidence, uint24 floor)
        external
        pure
    {
        TrustParameters memory p = _parameters(gain, loss, evidence, floor);
        if (!_allowed(p) || w < floor || w > TRUST_ONE || f > ONE || tau > 1_000_000 || items == 0 || items > 4096) return;
        uint256 trust = Trust.updated(p, w, f, tau, items);
        assert(trust >= floor && trust <= TRUST_ONE);
    }

    /// @dev With the default rates, a full round.
    function check_updated_gainsWithinToleranceAndLosesBeyond(uint24 w, uint16 f, uint24 tau) external pure {
        TrustParameters memory p = _parameters(5_000, 20_000, 20, 100_000);
        if (w < 100_000 || w > TRUST_ONE || f > ONE || tau > 1_000_000) return;
        uint256 trust = Trust.updated(p, w, f, tau, 20);
        assert(f <= tau ? trust >= w : trust < w || trust == 100_000);
    }

    function check_disagreement_isAtMostOneAndFourTimesTheDeviation(uint16 d, uint16 b) external pure {
        if (d > ONE || b > ONE) return;
        uint256 f = Trust.disagreement(d, b);
        assert(f <= ONE && f <= 4 * uint256(d));
    }

    /// @dev Trust.sol: what says nothing of the items counts as it is.
    function check_disagreement_ofAConstantIsItsDeviation(uint16 d) external pure {
        if (d > ONE) return;
        assert(Trust.disagreement(d, d) == d);
    }

    /* REWARDS */

    /// @dev The shares of a panel do not exceed one.
    function check_seat_earnsAtMostItsShare(uint128 budget, uint16 alpha, uint16 beta, uint16 delta, uint16 deviation, uint40 elapsed)
        external
        pure
    {
        RoundsParameters memory p = _rounds(alpha, beta, delta);
        if (!_allowed(p) || deviation > ONE || elapsed > 600) return;
        assert(Rewards.seat(p, budget, 5, deviation, elapsed) <= uint256(budget) / 5);
    }

    function check_threshold_isTheLastConsensusThatEarnsNothing(uint16 alpha, uint16 beta, uint16 cost, uint16 c) external pure {
        RoundsParameters memory p = _rounds(alpha, beta, 10_000);
        if (!_allowed(p) || cost > ONE || c > ONE) return;
        bool earns = uint256(alpha) * c > uint256(beta) * cost;
        // Just at the threshold, α·c may exceed β·C by less than α: `Rewards.batch` floors it away.
        if (c > Rewards.threshold(p, cost)) assert(earns);
        if (earns) assert(c >= Rewards.threshold(p, cost));
    }

    function _parameters(uint32 gain, uint32 loss, uint16 evidence, uint32 floor)
        private
        pure
        returns (TrustParameters memory)
    {
        return TrustParameters(gain, loss, 200, 15_000, evidence, floor, uint32(TRUST_ONE));
    }

    function _allowed(TrustParameters memory p) private pure returns (bool) {
        return p.gain <= 1_000_000 && p.loss <= 1_000_000 && p.evidence > 0 && p.floor >= 1000 && p.floor <= TRUST_ONE;
    }

    function _rounds(uint16 alpha, uint16 beta, uint16 delta) private pure returns (RoundsParameters memory) {
        return RoundsParameters(2, 600, 300, 900, 1, alpha, beta, delta);
    }

    function _allowed(RoundsParameters memory p) private pure returns (bool) {
        return p.qualityWeight > 0 && p.qualityWeight <= ONE && p.costWeight <= ONE && p.closenessScale > 0
            && p.closenessScale <= ONE;
    }
}
