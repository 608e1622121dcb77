// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters} from "../../../build/foundry/checked/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../../build/foundry/checked/interfaces/INodeRegistry.sol";
import {Rewards} from "../../../build/foundry/checked/libraries/Rewards.sol";
import {Trust} from "../../../build/foundry/checked/libraries/Trust.sol";

/// @notice That nothing overflows in the `unchecked` blocks of the fixed-point functions. What is called here are copies of the libraries
/// without the word (see `checked_copies.py`), whose arithmetic panics where the original would wrap; halmos takes a panic for a failure.
/// Parameters are the greatest that a deployment can have, or the least where something is divided by them: what overflows with any
/// others overflows with these. All else is any value that the contracts let in.
contract OverflowProofs {
    uint256 private constant ONE = 10_000;
    uint32 private constant TRUST_ONE = 1_000_000;
    uint32 private constant MAX_RATE = 1_000_000;

    function check_updated(uint24 w, uint16 f, uint24 tau, uint16 items) external pure {
        if (w < 1000 || w > TRUST_ONE || f > ONE || tau > MAX_RATE || items == 0) return;
        Trust.updated(TrustParameters(MAX_RATE, MAX_RATE, 0, 0, 1, 1000, TRUST_ONE), w, f, tau, items);
    }

    function check_seat(uint128 budget, uint8 panelSize, uint16 d, uint40 elapsed) external pure {
        if (panelSize == 0 || d > ONE) return;
        Rewards.seat(RoundsParameters(2, 1, 1, 1, 1, 10_000, 10_000, 1), budget, panelSize, d, elapsed);
    }

    /// @dev Of `count` items above the threshold, whose sum is therefore above `count` thresholds. α = 9000 and β = 7000 make it floor.
    function check_batch(uint128 budget, uint16 items, uint16 count, uint32 sum, uint16 cost) external pure {
        RoundsParameters memory p = RoundsParameters(2, 600, 300, 900, 1, 9_000, 7_000, 10_000);
        if (items == 0 || items > 4096 || count > items || cost > ONE) return;
        if (sum > count * ONE || sum < count * (Rewards.threshold(p, cost) + 1)) return;
        Rewards.batch(p, budget, items, cost, count, sum);
    }
}
