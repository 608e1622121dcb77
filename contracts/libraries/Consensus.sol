// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IQualityRounds, Rule} from "../interfaces/IQualityRounds.sol";
import {ONE} from "./Units.sol";
import {ScoreLanes} from "./ScoreLanes.sol";
import {Trust} from "./Trust.sol";

/// @notice Checks what the oracle says of the scores, without sorting: linear in the seats, sixteen items at a time.
///
/// `scores` holds one row of `items` packed scores a seat. Each check works through the items word by word and adds
/// up the seats lane by lane. Lanes past the last item are masked to zero in scores and submission alike. What a score
/// above ONE does to its neighbours does not matter: `deviations` rejects it.
library Consensus {
    using ScoreLanes for uint256;
    using ScoreLanes for bytes;
    using ScoreLanes for uint256[];

    /// @dev Guard bits and ones of eight 32-bit lanes.
    uint256 private constant GUARD32 = 0x8000000080000000800000008000000080000000800000008000000080000000;
    uint256 private constant LOW_BYTES = 0x00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF;
    /// @dev The lower half of each 64-bit lane.
    uint256 private constant EACH32 = 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF;
    uint256 private constant ONES32 = 0x0000000100000001000000010000000100000001000000010000000100000001;

    /// @notice How many scores the rule drops at each end, for `n` revealed seats.
    function trimCount(Rule rule, uint256 n, uint256 trim) internal pure returns (uint256) {
        if (rule == Rule.MEDIAN) return (n - 1) / 2;
        if (rule == Rule.TRIMMED_MEAN) return Math.min(n * trim / ONE, (n - 1) / 2);
        return 0;
    }

    /// @notice Returns consensus and pivot, packed, or reverts if `submission` is wrong for any item.
    /// @param weights Of the revealed seats at the draw, row by row, 1..1000 each.
    /// @param submission The consensus, the least and then the greatest scores kept, or the pivot: see `IQualityRounds.settle`.
    /// @return consensus Of every item.
    /// @return pivot The weighted median, where the rule weighs; the consensus itself, where it does not.
    function verified(
        Rule rule,
        uint256 trim,
        bytes calldata scores,
        uint256 items,
        uint256[] memory weights,
        bytes calldata submission
    ) internal pure returns (bytes memory consensus, bytes memory pivot) {
        uint256 n = weights.length;
        uint256 g = trimCount(rule, n, trim);
        bool bounded = (rule == Rule.MEDIAN || rule == Rule.TRIMMED_MEAN) && n - 2 * g > 1;
        uint256 expected = bounded ? 4 * items : 2 * items;
        require(submission.length == expected, IQualityRounds.WrongLength(submission.length, expected));

        // From memory: what is loaded from calldata would be loaded again at each use.
        pivot = submission;
        if (bounded) {
            pivot = _trimmed(scores, items, n, g, pivot);
        } else if (rule == Rule.MEAN) {
            for (uint256 k; k < n; ++k) {
                weights[k] = 1;
            }
            _requireEqual(pivot, _weightedMean(scores, items, weights), items);
        } else if (rule == Rule.MEDIAN || rule == Rule.TRIMMED_MEAN) {
            _checkMiddle(scores, items, n, pivot);
        } else {
            _checkWeightedMedian(scores, items, weights, pivot);
            if (rule == Rule.TRUST_WEIGHTED_MEAN) return (_weightedMean(scores, items, weights), pivot);
        }
        return (pivot, pivot);
    }

    /// @notice Reverts if a score of one row exceeds ONE.
    function checkScores(bytes calldata row) internal pure {
        uint256 items = row.length / 2;
        uint256 start = row.pointer();
        uint256 flags;
        for (uint256 i; i < items; i += 16) {
            flags |= (ScoreLanes.load(start + 2 * i) & ScoreLanes.head(items - i)).aboveOne();
        }
        require(flags == 0, IQualityRounds.ScoreAboveOne());
    }

    /// @notice Each seat's d = ⌊Σ|s − p| / T⌋ and its disagreement, for which see `Trust`. Reverts if a score exceeds ONE.
    function deviations(bytes calldata scores, uint256 items, uint256 n, bytes memory pivot)
        internal
        pure
        returns (uint256[] memory result, uint256[] memory disagreements)
    {
        uint256 row = scores.pointer();
        // Read from its middle on, this goes half a round further on and then round again from the start.
        bytes memory twice = bytes.concat(pivot, pivot);
        uint256 first = twice.pointerInMemory();
        result = _deviations(row, items, n, first);
        disagreements = _deviations(row, items, n, first + items / 2 * 2);
        for (uint256 k; k < n; ++k) {
            disagreements[k] = Trust.disagreement(result[k], disagreements[k]);
        }
    }

    /// @dev From the values that begin at `first` in memory. The first of the `n` rows begins at `row` in calldata.
    function _deviations(uint256 row, uint256 items, uint256 n, uint256 first)
        private
        pure
        returns (uint256[] memory result)
    {
        result = new uint256[](n);
        uint256 flags;
        unchecked {
            // Four words at a time before lanes are widened: 4 · ONE < 2¹⁶. The 32-bit lanes of a row add up to at most 4096 · ONE.
            uint256 blocks = first + items / 64 * 128;
            uint256 end = first + 2 * items;
            for (uint256 k; k < n; ++k) {
                uint256 sum;
                uint256 p = row;
                uint256 q = first;
                while (q < blocks) {
                    uint256 distances;
                    for (uint256 stop = q + 128; q < stop; q += 32) {
                        uint256 word = ScoreLanes.load(p);
                        flags |= word.aboveOne();
                        distances += word.distance(ScoreLanes.read(q));
                        p += 32;
                    }
                    sum += distances.pairs();
                }
                for (; q < end; q += 32) {
                    uint256 keep = ScoreLanes.head((end - q) / 2);
                    uint256 word = ScoreLanes.load(p) & keep;
                    flags |= word.aboveOne();
                    sum += word.distance(ScoreLanes.read(q) & keep).pairs();
                    p += 32;
                }
                result[k] = sum.total32() / items;
                row += 2 * items;
            }
        }
        require(flags == 0, IQualityRounds.ScoreAboveOne());
    }

    /// @notice How many items of `start`..`stop` have a consensus above `threshold`, and the sum of those.
    function above(bytes memory consensus, uint256 start, uint256 stop, uint256 threshold)
        internal
        pure
        returns (uint256 count, uint256 sum)
    {
        if (threshold >= ONE) return (0, 0);
        uint256 least = ScoreLanes.spread(threshold + 1);
        uint256 first = consensus.pointerInMemory();
        unchecked {
            // Masked lanes are zero, below every least. Sums as in `deviations`.
            for (uint256 i = start; i < stop; i += 16) {
                uint256 word = ScoreLanes.read(first + 2 * i) & ScoreLanes.head(stop - i);
                uint256 flags = word.ge(least);
                count += flags.units().pairs();
                sum += (word & flags.mask()).pairs();
            }
        }
        return (count.total32(), sum.total32());
    }

    /* RULES */

    /// @dev round(Σωs / Σω), sums in two times eight 32-bit lanes. Twice a sum and Σω are below 2·31 000·10⁴ + 31 000 < 2³⁰,
    /// 2·Σω is below 2¹⁶ and the quotient at most 10⁴, as `divide64` assumes.
    function _weightedMean(bytes calldata scores, uint256 items, uint256[] memory weights)
        private
        pure
        returns (bytes memory consensus)
    {
        consensus = new bytes(2 * items);
        uint256 total = _sum(weights);
        uint256 stride = 2 * items;
        uint256 first = scores.pointer();
        uint256 firstWeight = weights.pointerInMemory();
        unchecked {
            for (uint256 i; i < items; i += 16) {
                uint256 keep = ScoreLanes.head(items - i);
                uint256 odd;
                uint256 even;
                uint256 weight = firstWeight;
                uint256 end = first + weights.length * stride;
                for (uint256 p = first; p < end; p += stride) {
                    uint256 word = ScoreLanes.load(p) & keep;
                    odd += word.odds() * ScoreLanes.read(weight);
                    even += word.evens() * ScoreLanes.read(weight);
                    weight += 32;
                }
                ScoreLanes.write(
                    consensus.pointerInMemory() + 2 * i, _halfUp(odd, total) | (_halfUp(even, total) << 16)
                );
                first += 32;
            }
        }
    }

    /// @dev Σ_{s≥c} ω > Σω / 2 and Σ_{s≤c} ω ≥ Σω / 2, in lanes of 16 bits: Σω < 2¹⁵. The first is 2·Σ_{s<c} ω < Σω. Between
    /// them, the scores equal to c have weight: c is a score of the panel.
    function _checkWeightedMedian(
        bytes calldata scores,
        uint256 items,
        uint256[] memory weights,
        bytes memory submission
    ) private pure {
        uint256 total = _sum(weights);
        uint256 stride = 2 * items;
        uint256 first = scores.pointer();
        uint256 firstWeight = weights.pointerInMemory();
        unchecked {
            for (uint256 i; i < items; i += 16) {
                uint256 keep = ScoreLanes.head(items - i);
                uint256 c = _submitted(submission.pointerInMemory() + 2 * i, keep, i);
                uint256 from;
                uint256 upTo;
                uint256 weight = firstWeight;
                uint256 end = first + weights.length * stride;
                for (uint256 p = first; p < end; p += stride) {
                    uint256 word = ScoreLanes.load(p) & keep;
                    from += word.ge(c).units() * ScoreLanes.read(weight);
                    upTo += c.ge(word).units() * ScoreLanes.read(weight);
                    weight += 32;
                }
                uint256 right = from.ge(ScoreLanes.spread(total / 2 + 1));
                _requireAll(right & upTo.ge(ScoreLanes.spread((total + 1) / 2)), keep, i);
                first += 32;
            }
        }
    }

    /// @dev The median of an odd number of seats: more than half of them lie at or above c, and at or below.
    function _checkMiddle(bytes calldata scores, uint256 items, uint256 n, bytes memory submission) private pure {
        uint256 stride = 2 * items;
        uint256 first = scores.pointer();
        uint256 most = ScoreLanes.spread(n / 2 + 1);
        unchecked {
            for (uint256 i; i < items; i += 16) {
                uint256 keep = ScoreLanes.head(items - i);
                uint256 c = _submitted(submission.pointerInMemory() + 2 * i, keep, i);
                uint256 from;
                uint256 upTo;
                uint256 end = first + n * stride;
                for (uint256 p = first; p < end; p += stride) {
                    uint256 word = ScoreLanes.load(p) & keep;
                    from += word.ge(c).units();
                    upTo += c.ge(word).units();
                }
                _requireAll(from.ge(most) & upTo.ge(most), keep, i);
                first += 32;
            }
        }
    }

    /// @dev Checks the least and the greatest score kept by counts, and returns the rounded means of what they keep:
    /// Σ clamp(s, lo, hi) − g·(lo + hi) = (n − g)·lo + Σ (s − lo)⁺ − Σ (s − hi)⁺ − g·hi, and (s − hi)⁺ ≤ (s − lo)⁺.
    /// Sums are in two times eight 32-bit lanes; twice a sum is below 2·31·10⁴ + 31 < 2²⁰, far less than `divide64` has room for.
    function _trimmed(bytes calldata scores, uint256 items, uint256 n, uint256 g, bytes memory submission)
        private
        pure
        returns (bytes memory consensus)
    {
        consensus = new bytes(2 * items);
        unchecked {
            for (uint256 i; i < items; i += 16) {
                uint256 keep = ScoreLanes.head(items - i);
                uint256 lo = _submitted(submission.pointerInMemory() + 2 * i, keep, i);
                uint256 hi = _submitted(submission.pointerInMemory() + 2 * (items + i), keep, i);
                (uint256 atLo, uint256 atHi, uint256 odd, uint256 even) =
                    _clamp(scores.pointer() + 2 * i, n, 2 * items, keep, lo, hi);
                uint256 right = _bothAtLeast(atLo, n - g, g + 1) & _bothAtLeast(atHi, n - g, g + 1);
                _requireAll(right, keep, i);
                odd += (n - g) * lo.odds() - g * hi.odds();
                even += (n - g) * lo.evens() - g * hi.evens();
                ScoreLanes.write(
                    consensus.pointerInMemory() + 2 * i, _halfUp(odd, n - 2 * g) | (_halfUp(even, n - 2 * g) << 16)
                );
            }
        }
    }

    /// @dev Adds up a word of `n` rows: the counts of `_trimmed`, those of each bound eight bits apart, and Σ (s − lo)⁺ − (s − hi)⁺.
    function _clamp(uint256 place, uint256 n, uint256 stride, uint256 keep, uint256 lo, uint256 hi)
        private
        pure
        returns (uint256 atLo, uint256 atHi, uint256 odd, uint256 even)
    {
        unchecked {
            for (uint256 end = place + n * stride; place < end; place += stride) {
                uint256 word = ScoreLanes.load(place) & keep;
                uint256 over = (word | ScoreLanes.GUARD) - lo;
                uint256 flags = over & ScoreLanes.GUARD;
                atLo += (flags >> 15) | (lo.ge(word) >> 7);
                uint256 kept = over & flags.mask();
                over = (word | ScoreLanes.GUARD) - hi;
                flags = over & ScoreLanes.GUARD;
                atHi += (hi.ge(word) >> 15) | (flags >> 7);
                kept -= over & flags.mask();
                odd += kept.odds();
                even += kept.evens();
            }
        }
    }

    /* LANES */

    /// @dev Sixteen submitted values that are less than 2¹⁵, zero beyond the last item.
    function _submitted(uint256 place, uint256 keep, uint256 i) private pure returns (uint256 word) {
        word = ScoreLanes.read(place) & keep;
        require(word & ScoreLanes.GUARD == 0, IQualityRounds.WrongConsensus(i));
    }

    /// @dev Reverts unless the packed values are those expected, which have a zero in each lane past the last.
    function _requireEqual(bytes memory values, bytes memory expected, uint256 items) private pure {
        unchecked {
            for (uint256 i; i < items; i += 16) {
                uint256 word = ScoreLanes.read(values.pointerInMemory() + 2 * i) & ScoreLanes.head(items - i);
                require(word == ScoreLanes.read(expected.pointerInMemory() + 2 * i), IQualityRounds.WrongConsensus(i));
            }
        }
    }

    /// @dev Top bits of the lanes whose lower byte is at least `low` and whose upper byte is at least `high`.
    function _bothAtLeast(uint256 counts, uint256 low, uint256 high) private pure returns (uint256) {
        uint256 lower = (counts & LOW_BYTES).ge(ScoreLanes.spread(low));
        return lower & ((counts >> 8) & LOW_BYTES).ge(ScoreLanes.spread(high));
    }

    /// @dev round(lane / divisor) for eight 32-bit lanes, as eight 32-bit lanes.
    function _halfUp(uint256 lanes, uint256 divisor) private pure returns (uint256) {
        unchecked {
            uint256 doubled = 2 * lanes + divisor * ONES32;
            uint256 low = (doubled & EACH32).divide64(2 * divisor);
            uint256 high = ((doubled >> 32) & EACH32).divide64(2 * divisor);
            return low | (high << 32);
        }
    }

    /// @dev Reverts unless the top bit of every kept lane is set in `right`.
    function _requireAll(uint256 right, uint256 keep, uint256 i) private pure {
        require(~right & ScoreLanes.GUARD & keep == 0, IQualityRounds.WrongConsensus(i));
    }

    function _sum(uint256[] memory values) private pure returns (uint256 total) {
        for (uint256 k; k < values.length; ++k) {
            total += values[k];
        }
    }
}
