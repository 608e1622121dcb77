// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {RoundsParameters} from "../interfaces/IQualityRounds.sol";
import {ONE} from "./Units.sol";

/// @notice What seats and batches earn: α·quality − β·cost, never below zero. Money is floored.
library Rewards {
    /// @notice ⌊budget · r / (K·ONE)⌋ with r = ⌊max(0, α·q − β·L) / ONE⌋, closeness q = max(0, ONE − ⌊d·ONE/δ⌋) and
    /// latency L = min(ONE, ⌊elapsed·ONE / commitWindow⌋).
    function seat(RoundsParameters memory p, uint256 budget, uint256 panelSize, uint256 deviation, uint256 elapsed)
        internal
        pure
        returns (uint256)
    {
        // Budgets are below 2¹²⁸, times below 2⁴⁰, all else is at most ONE.
        unchecked {
            uint256 distance = deviation * ONE / p.closenessScale;
            uint256 closeness = distance < ONE ? ONE - distance : 0;
            uint256 latency = Math.min(ONE, elapsed * ONE / p.commitWindow);
            uint256 quality = p.qualityWeight * closeness;
            uint256 cost = p.costWeight * latency;
            return cost < quality ? budget * ((quality - cost) / ONE) / (panelSize * ONE) : 0;
        }
    }

    /// @notice The consensus up to which an item of a batch earns nothing: ⌊β·C / α⌋.
    function threshold(RoundsParameters memory p, uint256 cost) internal pure returns (uint256) {
        return p.costWeight * cost / p.qualityWeight;
    }

    /// @notice ⌊budget · Σ max(0, α·c − β·C) / (T·ONE²)⌋, given how many items of the batch lie above the threshold and
    /// the sum of their consensus: the others contribute zero.
    function batch(
        RoundsParameters memory p,
        uint256 budget,
        uint256 items,
        uint256 cost,
        uint256 earningItems,
        uint256 earningSum
    ) internal pure returns (uint256) {
        // Budgets are below 2¹²⁸, sums of a round below 2²⁶, and what earns lies above the threshold.
        unchecked {
            uint256 merit = p.qualityWeight * earningSum - earningItems * p.costWeight * cost;
            return budget * merit / (items * ONE * ONE);
        }
    }
}
