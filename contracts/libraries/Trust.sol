// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {TrustParameters} from "../interfaces/INodeRegistry.sol";
import {ONE} from "./Units.sol";

/// @notice How a deviation from the consensus moves trust.
///
///   τ  = max(τ_min, ⌊ρ · median_d / ONE⌋)          λ' = ⌊λ · min(T, E) / E⌋
///   w' = min(w_max, w + ⌊w · λ'_up · (τ − d) / ONE²⌋)        if d ≤ τ
///        max(w_min, w − ⌈w · λ'_down · (d − τ) / ONE²⌉)      otherwise
///
/// `median_d` is the MEDIAN rule over the deviations of the seats that revealed, so a seat is judged against its panel.
/// λ and ρ are at most MAX_RATE = 10⁶, so τ is too, and w · λ · τ is at most 10¹⁸ < 2⁶³.
library Trust {
    /// @notice τ for the deviations of a panel. Reorders `deviations`.
    function tolerance(TrustParameters memory p, uint256[] memory deviations) internal pure returns (uint256) {
        return Math.max(p.tolerance, p.spread * _median(deviations) / ONE);
    }

    /// @notice w' of a seat with trust `w` and deviation `d`, after a round of `items`. Gains are floored, losses ceiled.
    function updated(TrustParameters memory p, uint256 w, uint256 d, uint256 tau, uint256 items)
        internal
        pure
        returns (uint256)
    {
        uint256 evidence = Math.min(items, p.evidence);
        if (d <= tau) {
            uint256 gain = uint256(p.gain) * evidence / p.evidence;
            return Math.min(p.cap, w + w * gain * (tau - d) / (ONE * ONE));
        }
        uint256 rate = uint256(p.loss) * evidence / p.evidence;
        uint256 loss = Math.ceilDiv(w * rate * (d - tau), ONE * ONE);
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
