// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch} from "../../contracts/interfaces/INodeRegistry.sol";
import {RoundsParameters, Rule} from "../../contracts/interfaces/IQualityRounds.sol";
import {ONE, WEIGHT_UNIT} from "../../contracts/libraries/Units.sol";

/// @notice What a settlement must come to, in the obvious words of docs/protocol.md, §4 and §6: one score after the other, sorted. What the
/// contracts' lanes are compared with here; it may not use any of their libraries but the units.
library Plain {
    /// @dev All packed. `submission` is what the settler brings.
    struct Result {
        bytes submission;
        bytes consensus;
        bytes pivot;
    }

    /// @notice Of `scores`, one packed row of `items` for each of the seats whose trusts are given.
    function aggregate(Rule rule, uint256 trim, bytes memory scores, uint256 items, uint256[] memory trusts)
        internal
        pure
        returns (Result memory r)
    {
        uint256 n = trusts.length;
        uint256 g;
        if (rule == Rule.MEDIAN) g = (n - 1) / 2;
        if (rule == Rule.TRIMMED_MEAN) g = n * trim / ONE < (n - 1) / 2 ? n * trim / ONE : (n - 1) / 2;
        bytes memory least;
        bytes memory greatest;
        for (uint256 item; item < items; ++item) {
            (uint256[] memory s, uint256[] memory w) = _sorted(scores, items, item, trusts);
            least = _append(least, s[g]);
            greatest = _append(greatest, s[n - 1 - g]);
            if (rule == Rule.TRUST_WEIGHTED_MEAN || rule == Rule.TRUST_WEIGHTED_MEDIAN) {
                r.pivot = _append(r.pivot, _weightedMedian(s, w));
                if (rule == Rule.TRUST_WEIGHTED_MEAN) r.consensus = _append(r.consensus, _weightedMean(s, w));
            } else {
                r.pivot = _append(r.pivot, _trimmedMean(s, g));
            }
        }
        if (rule != Rule.TRUST_WEIGHTED_MEAN) r.consensus = r.pivot;
        bool bounded = (rule == Rule.MEDIAN || rule == Rule.TRIMMED_MEAN) && n - 2 * g > 1;
        r.submission = bounded ? bytes.concat(least, greatest) : r.pivot;
    }

    /// @notice Each row's ⌊Σ|s − p| / T⌋.
    function deviations(bytes memory scores, uint256 items, uint256 n, bytes memory pivot)
        internal
        pure
        returns (bytes memory result)
    {
        for (uint256 k; k < n; ++k) {
            uint256 sum;
            for (uint256 i; i < items; ++i) {
                (uint256 s, uint256 p) = (valueAt(scores, k * items + i), valueAt(pivot, i));
                sum += s > p ? s - p : p - s;
            }
            result = _append(result, sum / items);
        }
    }

    function seatReward(RoundsParameters memory p, uint256 budget, uint256 panelSize, uint256 d, uint256 elapsed)
        internal
        pure
        returns (uint256)
    {
        uint256 distance = d * ONE / p.closenessScale;
        uint256 closeness = distance < ONE ? ONE - distance : 0;
        uint256 latency = elapsed * ONE / p.commitWindow;
        if (latency > ONE) latency = ONE;
        (uint256 quality, uint256 cost) = (p.qualityWeight * closeness, p.costWeight * latency);
        return quality > cost ? budget * ((quality - cost) / ONE) / (panelSize * ONE) : 0;
    }

    /// @notice Of each batch.
    function batchRewards(RoundsParameters memory p, uint256 budget, Batch[] memory batches, bytes memory consensus)
        internal
        pure
        returns (uint256[] memory rewards)
    {
        rewards = new uint256[](batches.length);
        uint256 item;
        for (uint256 b; b < batches.length; ++b) {
            uint256 merit;
            uint256 cost = uint256(p.costWeight) * batches[b].cost;
            for (uint256 stop = item + batches[b].items; item < stop; ++item) {
                uint256 quality = p.qualityWeight * valueAt(consensus, item);
                if (quality > cost) merit += quality - cost;
            }
            rewards[b] = budget * merit / (consensus.length / 2 * ONE * ONE);
        }
    }

    /// @notice The packed value at `index`.
    function valueAt(bytes memory packed, uint256 index) internal pure returns (uint256) {
        return uint256(uint8(packed[2 * index])) << 8 | uint8(packed[2 * index + 1]);
    }

    /// @notice The same with another value there.
    function replaced(bytes memory packed, uint256 index, uint256 value) internal pure returns (bytes memory) {
        (packed[2 * index], packed[2 * index + 1]) = (bytes1(uint8(value >> 8)), bytes1(uint8(value)));
        return packed;
    }

    function _sorted(bytes memory scores, uint256 items, uint256 item, uint256[] memory trusts)
        private
        pure
        returns (uint256[] memory s, uint256[] memory w)
    {
        uint256 n = trusts.length;
        (s, w) = (new uint256[](n), new uint256[](n));
        for (uint256 k; k < n; ++k) {
            uint256 score = valueAt(scores, k * items + item);
            uint256 j = k;
            for (; j > 0 && s[j - 1] > score; --j) {
                (s[j], w[j]) = (s[j - 1], w[j - 1]);
            }
            (s[j], w[j]) = (score, trusts[k] / WEIGHT_UNIT);
        }
    }

    function _trimmedMean(uint256[] memory s, uint256 g) private pure returns (uint256) {
        uint256 sum;
        for (uint256 k = g; k < s.length - g; ++k) {
            sum += s[k];
        }
        uint256 kept = s.length - 2 * g;
        return (2 * sum + kept) / (2 * kept);
    }

    function _weightedMedian(uint256[] memory s, uint256[] memory w) private pure returns (uint256) {
        uint256 total;
        for (uint256 i; i < w.length; ++i) {
            total += w[i];
        }
        uint256 k;
        for (uint256 passed = w[0]; 2 * passed < total; passed += w[k]) {
            ++k;
        }
        return s[k];
    }

    function _weightedMean(uint256[] memory s, uint256[] memory w) private pure returns (uint256) {
        uint256 total;
        uint256 sum;
        for (uint256 k; k < s.length; ++k) {
            total += w[k];
            sum += w[k] * s[k];
        }
        return (2 * sum + total) / (2 * total);
    }

    function _append(bytes memory packed, uint256 value) private pure returns (bytes memory) {
        return bytes.concat(packed, bytes2(uint16(value)));
    }
}
