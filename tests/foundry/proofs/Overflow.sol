// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters} from "../../../build/foundry/checked/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../../build/foundry/checked/interfaces/INodeRegistry.sol";
import {Rewards} from "../../../build/foundry/checked/libraries/Rewards.sol";
import {Trust} from "../../../build/foundry/checked/libraries/Trust.sol";

/// @notice That nothing overflows in the `unchecked` blocks of the fixed-point functions. What is called here are copies of the libraries
/// without the word (see `checked_copies.py`), whose arithmetic panics where the original would wrap; halmos takes a panic for a failure.
/// Arguments have the widths and ranges that the contracts let in.
contract OverflowProofs {
    uint256 private constant ONE = 10_000;
    uint256 private constant TRUST_ONE = 1_000_000;
    uint256 private constant MAX_RATE = 1_000_000;

    function check_updated(uint24 w, uint16 f, uint24 tau, uint16 items, uint24 rate, uint16 evidence) external pure {
        if (w < 1000 || w > TRUST_ONE || f > ONE || tau > MAX_RATE || rate > MAX_RATE || evidence == 0) return;
        TrustParameters memory p = TrustParameters(rate, rate, 200, 15_000, evidence, 100_000, uint32(TRUST_ONE));
        Trust.updated(p, w, f, tau, items);
    }

    function check_seat(uint128 budget, uint8 panelSize, uint16 d, uint40 elapsed, uint16 alpha, uint16 beta, uint16 delta)
        external
        pure
    {
        if (panelSize < 3 || panelSize > 31 || d > ONE) return;
        Rewards.seat(_parameters(alpha, beta, delta), budget, panelSize, d, elapsed);
    }

    /// @dev Of `count` items above the threshold, whose sum is therefore above `count` thresholds, and at most one each.
    function check_batch(uint128 budget, uint16 items, uint16 count, uint32 sum, uint16 cost, uint16 alpha, uint16 beta)
        external
        pure
    {
        RoundsParameters memory p = _parameters(alpha, beta, 10_000);
        if (items == 0 || items > 4096 || count > items || cost > ONE) return;
        if (sum > count * ONE || sum < count * (Rewards.threshold(p, cost) + 1)) return;
        Rewards.batch(p, budget, items, cost, count, sum);
    }

    function _parameters(uint16 alpha, uint16 beta, uint16 delta) private pure returns (RoundsParameters memory) {
        require(alpha > 0 && alpha <= ONE && beta <= ONE && delta > 0 && delta <= ONE);
        return RoundsParameters(2, 600, 300, 900, 1, alpha, beta, delta);
    }
}
