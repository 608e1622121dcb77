// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {TrustParameters} from "../interfaces/INodeRegistry.sol";
import {ONE} from "./Units.sol";

/// @notice How disagreement with the panel moves trust.
///
///   f  = min(⌊d³ / b²⌋, 4d, ONE)
///   τ  = max(τ_min, ⌊ρ · median_f / ONE⌋)          λ' = ⌊λ · min(T, E) / E⌋
///   w' = min(w_max, w + ⌊w · λ'_up · (τ − f) / ONE²⌋)        if f ≤ τ
///        max(w_min, w − ⌈w · λ'_down · (f − τ) / ONE²⌉)      otherwise
///
/// d is a seat's deviation from the pivot and b its deviation from the pivot of other items, so f is d where the scores say
/// nothing of the items, less where they follow them, more where they go against them. `median_f` is the MEDIAN rule over
/// the disagreements of the seats that revealed, so a seat is judged against its panel.
/// λ and ρ are at most MAX_RATE = 10⁶, so τ is too, and w · λ · τ is at most 10¹⁸ < 2⁶³.
library Trust {
    /// @notice f for a deviation `d` from the pivot and a deviation `b` from the pivot of other items.
    function disagreement(uint256 d, uint256 b) internal pure returns (uint256) {
        uint256 most = Math.min(4 * d, ONE);
        return b == 0 ? most : Math.min(d * d * d / (b * b), most);
    }

    /// @notice τ for the disagreements of a panel. Reorders `disagreements`.
    function tolerance(TrustParameters memory p, uint256[] memory disagreements) internal pure returns (uint256) {
        return Math.max(p.tolerance, p.spread * _median(disagreements) / ONE);
    }

    /// @notice w' of a seat with trust `w` and disagreement `f`, after a round of `items`. Gains are floored, losses ceiled.
    function updated(TrustParameters memory p, uint256 w, uint256 f, uint256 tau, uint256 items)
        internal
        pure
        returns (uint256)
    {
        uint256 evidence = Math.min(items, p.evidence);
        if (f <= tau) {
            uint256 gain = uint256(p.gain) * evidence / p.evidence;
            return Math.min(p.cap, w + w * gain * (tau - f) / (ONE * ONE));
        }
        uint256 rate = uint256(p.loss) * evidence / p.evidence;
        uint256 loss = Math.ceilDiv(w * rate * (f - tau), ONE * ONE);
        return loss + p.floor >= w ? p.floor : w - loss;
    }

    /// @dev Insertion sort: at most 31 values.
    function _median(uint256[] memory values) private pure returns (uint256) {
        uint256 n = values.length;
        for (uint256 i = 1; i < n; ++i) {
            uint256 value = values[i];
            uint256 j = i;
            for (; j > 0 && values[j - 1] > value; --j) {
                values[j] = values[j - 1];
            }
            values[j] = value;
        }
        return (values[(n - 1) / 2] + values[n / 2] + 1) / 2;
    }
}
