// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {TrustParameters} from "../interfaces/INodeRegistry.sol";
import {ScoreLanes} from "./ScoreLanes.sol";
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
    using ScoreLanes for uint256;
    using ScoreLanes for bytes;

    /// @notice τ for the packed deviations of a panel.
    function tolerance(TrustParameters memory p, bytes memory deviations) internal pure returns (uint256) {
        return Math.max(p.tolerance, p.spread * _median(deviations) / ONE);
    }

    /// @notice w' of a seat with trust `w` and deviation `d`, after a round of `items`. Gains are floored, losses ceiled.
    function updated(TrustParameters memory p, uint256 w, uint256 d, uint256 tau, uint256 items)
        internal
        pure
        returns (uint256)
    {
        // Every product is below 2⁶³: see above.
        unchecked {
            uint256 evidence = Math.min(items, p.evidence);
            if (d <= tau) {
                uint256 gain = p.gain * evidence / p.evidence;
                return Math.min(p.cap, w + w * gain * (tau - d) / (ONE * ONE));
            }
            uint256 rate = p.loss * evidence / p.evidence;
            uint256 loss = (w * rate * (d - tau) + (ONE * ONE - 1)) / (ONE * ONE);
            return loss + p.floor >= w ? p.floor : w - loss;
        }
    }

    /// @dev The MEDIAN rule for one item, round((s((n+1)/2) + s(n/2+1)) / 2).
    function _median(bytes memory deviations) private pure returns (uint256) {
        uint256 n = deviations.length / 2;
        uint256 lower = _ranked(deviations, (n + 1) / 2);
        return n % 2 == 1 ? lower : (lower + _ranked(deviations, n / 2 + 1) + 1) / 2;
    }

    /// @dev s(rank): the least value that at least `rank` deviations do not exceed, found by bisection. At most 31 deviations, of at
    /// most ONE < 2¹⁴.
    function _ranked(bytes memory deviations, uint256 rank) private pure returns (uint256 value) {
        uint256 first = deviations.pointerInMemory();
        uint256 n = deviations.length / 2;
        unchecked {
            // Lanes past the last deviation hold more than any.
            uint256 keep = ScoreLanes.head(n);
            uint256 a = ScoreLanes.read(first) & keep | ScoreLanes.LOW15 & ~keep;
            uint256 b;
            if (n > 16) {
                keep = ScoreLanes.head(n - 16);
                b = ScoreLanes.read(first + 32) & keep | ScoreLanes.LOW15 & ~keep;
            }
            for (uint256 step = 1 << 13; step > 0; step >>= 1) {
                uint256 bar = ScoreLanes.spread(value + step - 1);
                uint256 count = bar.ge(a).units().total16();
                if (b != 0) count += bar.ge(b).units().total16();
                if (count < rank) value += step;
            }
        }
    }
}
