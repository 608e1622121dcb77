// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {TrustParameters} from "../interfaces/INodeRegistry.sol";
import {ScoreLanes} from "./ScoreLanes.sol";
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
    using ScoreLanes for uint256;
    using ScoreLanes for bytes;

    /// @notice f for a deviation `d` from the pivot and a deviation `b` from the pivot of other items.
    function disagreement(uint256 d, uint256 b) internal pure returns (uint256) {
        uint256 most = Math.min(4 * d, ONE);
        return b == 0 ? most : Math.min(d * d * d / (b * b), most);
    }

    /// @notice τ for the packed disagreements of a panel.
    function tolerance(TrustParameters memory p, bytes memory disagreements) internal pure returns (uint256) {
        return Math.max(p.tolerance, p.spread * _median(disagreements) / ONE);
    }

    /// @notice w' of a seat with trust `w` and disagreement `f`, after a round of `items`. Gains are floored, losses ceiled.
    function updated(TrustParameters memory p, uint256 w, uint256 f, uint256 tau, uint256 items)
        internal
        pure
        returns (uint256)
    {
        // Every product is below 2⁶³: see above.
        unchecked {
            uint256 evidence = Math.min(items, p.evidence);
            if (f <= tau) {
                uint256 gain = p.gain * evidence / p.evidence;
                return Math.min(p.cap, w + w * gain * (tau - f) / (ONE * ONE));
            }
            uint256 rate = p.loss * evidence / p.evidence;
            uint256 loss = (w * rate * (f - tau) + (ONE * ONE - 1)) / (ONE * ONE);
            return loss + p.floor >= w ? p.floor : w - loss;
        }
    }

    /// @dev The MEDIAN rule for one item, round((s((n+1)/2) + s(n/2+1)) / 2).
    function _median(bytes memory disagreements) private pure returns (uint256) {
        uint256 n = disagreements.length / 2;
        uint256 lower = _ranked(disagreements, (n + 1) / 2);
        return n % 2 == 1 ? lower : (lower + _ranked(disagreements, n / 2 + 1) + 1) / 2;
    }

    /// @dev s(rank): the least value that at least `rank` disagreements do not exceed, found by bisection. At most 31, of at
    /// most ONE < 2¹⁴.
    function _ranked(bytes memory disagreements, uint256 rank) private pure returns (uint256 value) {
        uint256 first = disagreements.pointerInMemory();
        uint256 n = disagreements.length / 2;
        unchecked {
            // Lanes past the last disagreement hold more than any.
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
