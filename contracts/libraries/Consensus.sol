// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IQualityRounds, Rule} from "../interfaces/IQualityRounds.sol";
import {ONE} from "./Units.sol";
import {Judged} from "./Judged.sol";
import {ScoreLanes} from "./ScoreLanes.sol";
import {Trust} from "./Trust.sol";

/// @notice Checks what the oracle says of the scores, without sorting: linear in the seats, sixteen items at a time.
///
/// `scores` holds one row of `items` packed scores a seat. Each check works through the items word by word and adds
/// up the seats lane by lane. Lanes past the last item are masked to zero in the submission, and in the scores wherever sums
/// could carry out of them. Every score is at most ONE, which is checked first.
///
/// Counting. x = (s | GUARD) − c has its top bit where s ≥ c, and x − 1 where s > c: as c < 2¹⁵, x is at least 1 in every lane,
/// so neither subtraction borrows from the next lane.
library Consensus {
    using ScoreLanes for uint256;
    using ScoreLanes for bytes;
    using ScoreLanes for uint256[];

    /// @dev Guard bits and ones of eight 32-bit lanes.
    uint256 private constant GUARD32 = 0x8000000080000000800000008000000080000000800000008000000080000000;
    /// @dev The top bit of each byte, and of each lane's lower byte.
    uint256 private constant BIASES = 0x8080808080808080808080808080808080808080808080808080808080808080;
    uint256 private constant REACHED = 0x0080008000800080008000800080008000800080008000800080008000800080;
    /// @dev The lower half of each 64-bit lane.
    uint256 private constant EACH32 = 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF;
    uint256 private constant ONES32 = 0x0000000100000001000000010000000100000001000000010000000100000001;

    /// @notice How many scores the rule drops at each end, for `n` revealed seats.
    function trimCount(Rule rule, uint256 n, uint256 trim) internal pure returns (uint256) {
        if (rule == Rule.MEDIAN) return (n - 1) / 2;
        if (rule == Rule.TRIMMED_MEAN) return Math.min(n * trim / ONE, (n - 1) / 2);
        return 0;
    }

    /// @notice Whether the rule weighs seats by their trust; only then trust moves.
    function weighs(Rule rule) internal pure returns (bool) {
        return rule == Rule.TRUST_WEIGHTED_MEAN || rule == Rule.TRUST_WEIGHTED_MEDIAN;
    }

    /// @notice Returns the consensus of all items and the pivot of the judged ones, packed, or reverts if `submission` is wrong for any
    /// item or a score exceeds ONE.
    /// @param weights Of the revealed seats at the draw, row by row, 1..1000 each.
    /// @param submission The consensus, the least and then the greatest scores kept, or the pivot: see `IQualityRounds.settle`.
    /// @param judged The first item of each judged group: see `Judged`.
    /// @return consensus Of every item.
    /// @return pivot The weighted median, where the rule weighs; the consensus itself, where it does not.
    function verified(
        Rule rule,
        uint256 trim,
        bytes calldata scores,
        uint256 items,
        uint256[] memory weights,
        bytes calldata submission,
        uint256[] memory judged
    ) internal pure returns (bytes memory consensus, bytes memory pivot) {
        uint256 n = weights.length;
        uint256 g = trimCount(rule, n, trim);
        bool bounded = (rule == Rule.MEDIAN || rule == Rule.TRIMMED_MEAN) && n - 2 * g > 1;
        bool mean = rule == Rule.TRUST_WEIGHTED_MEAN;
        uint256 expected = bounded ? 4 * items : 2 * (mean ? Judged.count(items) : items);
        require(submission.length == expected, IQualityRounds.WrongLength(submission.length, expected));
        checkScores(scores);

        // From memory: what is loaded from calldata would be loaded again at each use.
        consensus = submission;
        if (bounded) {
            consensus = _trimmed(scores, items, n, g, consensus);
        } else if (rule == Rule.MEAN) {
            _checkMean(scores, items, n, consensus);
        } else if (rule == Rule.MEDIAN || rule == Rule.TRIMMED_MEAN) {
            _checkMiddle(scores, items, n, consensus);
        } else {
            _checkWeightedMedian(scores, items, weights, consensus, judged);
            if (mean) return (_weightedMean(scores, items, weights), consensus);
        }
        return (consensus, Judged.row(consensus, judged));
    }

    /// @notice Reverts if one of packed scores exceeds ONE.
    function checkScores(bytes calldata scores) internal pure {
        unchecked {
            uint256 place = scores.pointer();
            uint256 end = place + scores.length;
            uint256 whole = place + scores.length / 256 * 256;
            uint256 flags = ScoreLanes.aboveOneAlong(place, whole);
            for (; whole < end; whole += 32) {
                flags |= (ScoreLanes.load(whole) & ScoreLanes.head((end - whole) / 2)).aboveOne();
            }
            require(flags == 0, IQualityRounds.ScoreAboveOne());
        }
    }

    /// @notice Each seat's deviation ⌊Σ|s − p| / J⌋ from the pivot of the judged items, packed.
    /// @param scores Of the judged items, `items` a row: see `Judged.rows`.
    function deviations(bytes memory scores, uint256 items, uint256 n, bytes memory pivot)
        internal
        pure
        returns (bytes memory)
    {
        return _distances(scores.pointerInMemory(), items, n, pivot.pointerInMemory());
    }

    /// @notice Each seat's disagreement, packed: see `Trust`. Arguments as for `deviations`, which have to have `found` theirs.
    function disagreements(
        bytes memory scores,
        uint256 items,
        uint256 n,
        bytes memory pivot,
        bytes memory found
    ) internal pure returns (bytes memory result) {
        // Read from its middle on, this goes half of the items further on and then round again from the start.
        bytes memory twice = bytes.concat(pivot, pivot);
        result = _distances(scores.pointerInMemory(), items, n, twice.pointerInMemory() + items / 2 * 2);
        uint256 packed;
        for (uint256 k; k < n; ++k) {
            packed = packed << 16 | Trust.disagreement(found.lane(k), result.lane(k));
            _writeLane(result, packed, k, n);
        }
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
            uint256 keep = type(uint256).max;
            // Masked lanes are zero, below every least. At most 256 words are counted, of at most 4096 · ONE in all.
            for (uint256 i = start; i < stop; i += 16) {
                if (i + 16 > stop) keep = ScoreLanes.head(stop - i);
                uint256 word = ScoreLanes.read(first + 2 * i) & keep;
                uint256 flags = word.ge(least);
                count += flags.units();
                sum += (word & flags.mask()).pairs();
            }
        }
        return (count.pairs().total32(), sum.total32());
    }

    /* RULES */

    // A submitted value of 2¹⁵ or more is refused with all else that is wrong about its word: what it did to its neighbours in the
    // meantime does not matter. `keep` is set once, before the last word.

    /// @dev 0 ≤ 2·Σs + n − 2n·c < 2n, in two times eight 32-bit lanes: 2·31·2¹⁵ < 2³¹.
    function _checkMean(bytes calldata scores, uint256 items, uint256 n, bytes memory submission) private pure {
        uint256 stride = 2 * items;
        uint256 first = scores.pointer();
        unchecked {
            uint256 keep = type(uint256).max;
            uint256 submitted = submission.pointerInMemory();
            for (uint256 i; i < items; i += 16) {
                if (i + 16 > items) keep = ScoreLanes.head(items - i);
                uint256 c = ScoreLanes.read(submitted + 2 * i) & keep;
                (uint256 odd, uint256 even) = ScoreLanes.sumDown(first, n, stride, keep);
                uint256 right = _rounded(even, c.evens(), n) | (_rounded(odd, c.odds(), n) >> 16);
                if ((c | ~right) & ScoreLanes.GUARD & keep != 0) revert IQualityRounds.WrongConsensus(i);
                first += 32;
            }
        }
    }

    /// @dev Σ_{s≥c} ω > Σω / 2 and Σ_{s>c} ω ≤ Σω / 2, in lanes of 16 bits: Σω < 2¹⁵. The first is 2·Σ_{s<c} ω < Σω, the second
    /// 2·Σ_{s≤c} ω ≥ Σω. Between them, the scores equal to c have weight: c is a score of the panel. What is submitted is of
    /// all items, or of the `judged` ones: where the two are as many, they are the same.
    function _checkWeightedMedian(
        bytes calldata scores,
        uint256 items,
        uint256[] memory weights,
        bytes memory submission,
        uint256[] memory judged
    ) private pure {
        uint256 half = ScoreLanes.spread(_sum(weights) / 2);
        uint256 stride = 2 * items;
        uint256 first = scores.pointer();
        uint256 count = submission.length / 2;
        unchecked {
            uint256 keep = type(uint256).max;
            uint256 submitted = submission.pointerInMemory();
            for (uint256 i; i < count; i += 16) {
                if (i + 16 > count) keep = ScoreLanes.head(count - i);
                uint256 item = count == items ? i : judged[i / 16];
                uint256 c = ScoreLanes.read(submitted + 2 * i) & keep;
                (uint256 from, uint256 over) = ScoreLanes.weightsAt(first + 2 * item, weights, stride, c);
                if (_outside(c, from, over, half) & keep != 0) revert IQualityRounds.WrongConsensus(item);
            }
        }
    }

    /// @dev round(Σωs / Σω), sums in two times eight 32-bit lanes. Twice a sum and Σω are below 2·31 000·10⁴ + 31 000 < 2³⁰,
    /// 2·Σω is below 2¹⁶ and the quotient at most 10⁴, as `divide64` assumes. Whatever lies past the last item stays in its lane.
    function _weightedMean(bytes calldata scores, uint256 items, uint256[] memory weights)
        private
        pure
        returns (bytes memory consensus)
    {
        consensus = new bytes(2 * items);
        uint256 total = _sum(weights);
        uint256 m = ScoreLanes.reciprocal(2 * total);
        uint256 stride = 2 * items;
        uint256 first = scores.pointer();
        unchecked {
            uint256 place = consensus.pointerInMemory();
            for (uint256 end = place + stride; place < end; place += 32) {
                (uint256 odd, uint256 even) = ScoreLanes.weightedDown(first, weights, stride);
                ScoreLanes.write(place, _halfUp(odd, total, m) | (_halfUp(even, total, m) << 16));
                first += 32;
            }
            // What lies past the last item came from elsewhere.
            place -= 32;
            ScoreLanes.write(place, ScoreLanes.read(place) & ScoreLanes.head((items + 15) % 16 + 1));
        }
    }

    /// @dev The median of an odd number of seats: more than half of them lie at or above c, and less than half above.
    function _checkMiddle(bytes calldata scores, uint256 items, uint256 n, bytes memory submission) private pure {
        uint256 half = ScoreLanes.spread(n / 2);
        uint256 stride = 2 * items;
        uint256 first = scores.pointer();
        unchecked {
            uint256 keep = type(uint256).max;
            uint256 submitted = submission.pointerInMemory();
            for (uint256 i; i < items; i += 16) {
                if (i + 16 > items) keep = ScoreLanes.head(items - i);
                uint256 c = ScoreLanes.read(submitted + 2 * i) & keep;
                (uint256 from, uint256 over) = ScoreLanes.countsAt(first, n, stride, c);
                if (_outside(c, from, over, half) & keep != 0) revert IQualityRounds.WrongConsensus(i);
                first += 32;
            }
        }
    }

    /// @dev Checks the least and the greatest score kept by counts, and returns the rounded means of what they keep. The sum kept is
    /// Σ clamp(s, lo, hi) − g·(lo + hi), so their mean is lo + (Σ (s − lo)⁺ − Σ (s − hi)⁺ − g·(hi − lo)) / (n − 2g).
    /// Twice the sum is below 2·31·10⁴ + 31 < 2²⁰, far less than `divide64` has room for.
    function _trimmed(bytes calldata scores, uint256 items, uint256 n, uint256 g, bytes memory submission)
        private
        pure
        returns (bytes memory consensus)
    {
        consensus = new bytes(2 * items);
        unchecked {
            uint256 first = scores.pointer();
            uint256 m = ScoreLanes.reciprocal(2 * (n - 2 * g));
            uint256 keep = type(uint256).max;
            for (uint256 i; i < items; i += 16) {
                if (i + 16 > items) keep = ScoreLanes.head(items - i);
                uint256 lo = ScoreLanes.read(submission.pointerInMemory() + 2 * i) & keep;
                uint256 hi = ScoreLanes.read(submission.pointerInMemory() + 2 * (items + i)) & keep;
                (uint256 atLo, uint256 atHi, uint256 odd, uint256 even) =
                    ScoreLanes.clampDown(first, n, 2 * items, lo, hi, _biased(n - g), _biased(g + 1));
                uint256 wrong = (atLo ^ REACHED | atHi ^ REACHED) & BIASES | (lo | hi) & ScoreLanes.GUARD;
                if (wrong & keep != 0) revert IQualityRounds.WrongConsensus(i);
                // As the counts are right, lo ≤ hi; past the last item both are zero, and so are the sums.
                hi -= lo;
                odd = _halfUp(odd - g * hi.odds(), n - 2 * g, m);
                even = _halfUp(even - g * hi.evens(), n - 2 * g, m);
                ScoreLanes.write(consensus.pointerInMemory() + 2 * i, lo + (odd | even << 16));
                first += 32;
            }
        }
    }

    /* LANES */

    /// @dev ⌊Σ|s − v| / J⌋ of each of `n` rows of J items, packed. The first row begins at `row` in memory, the values v at `place`.
    function _distances(uint256 row, uint256 items, uint256 n, uint256 place)
        private
        pure
        returns (bytes memory result)
    {
        result = new bytes(2 * n);
        unchecked {
            uint256 whole = items / 32 * 32;
            uint256 packed;
            // From a value's place to that in the row, modulo 2²⁵⁶.
            uint256 ahead = row - place;
            for (uint256 k; k < n; ++k) {
                uint256 sum = ScoreLanes.distancesAlong(place, place + 2 * whole, ahead);
                for (uint256 i = whole; i < items; i += 16) {
                    uint256 keep = ScoreLanes.head(items - i);
                    uint256 word = ScoreLanes.read(place + 2 * i + ahead) & keep;
                    sum += word.distance(ScoreLanes.read(place + 2 * i) & keep).pairs();
                }
                packed = packed << 16 | sum.total32() / items;
                _writeLane(result, packed, k, n);
                ahead += 2 * items;
            }
        }
    }

    /// @dev Writes `packed`, which has lane `k` as its last, where a word of lanes is full or `k` is the last of `n`.
    function _writeLane(bytes memory data, uint256 packed, uint256 k, uint256 n) private pure {
        unchecked {
            if (k % 16 == 15 || k + 1 == n) {
                ScoreLanes.write(data.pointerInMemory() + k / 16 * 32, packed << (15 - k % 16) * 16);
            }
        }
    }

    /// @dev Top bits of the lanes where c is no median: where c ≥ 2¹⁵, from ≤ half or over > half, all three below 2¹⁵. The latter
    /// two borrow from the top bit that the difference of the counts from half, plus 2¹⁵, has.
    function _outside(uint256 c, uint256 from, uint256 over, uint256 half) private pure returns (uint256) {
        unchecked {
            half |= ScoreLanes.GUARD;
            return (c | (half - from) | ~(half - over)) & ScoreLanes.GUARD;
        }
    }

    /// @dev Top bits of the 32-bit lanes where c = round(sum / total).
    function _rounded(uint256 sum, uint256 c, uint256 total) private pure returns (uint256) {
        unchecked {
            uint256 rest = (2 * sum + total * ONES32 | GUARD32) - 2 * total * c;
            uint256 room = ((2 * total - 1) * ONES32 | GUARD32) - (rest & ~GUARD32);
            return rest & room & GUARD32;
        }
    }

    /// @dev Counts of two per lane that pass 127 when `bar` more have been counted: at the end `REACHED` has to be set of the lower one
    /// and clear of the upper one.
    function _biased(uint256 bar) private pure returns (uint256) {
        unchecked {
            return (BIASES >> 7) * (128 - bar);
        }
    }

    /// @dev round(lane / divisor) for eight 32-bit lanes, as eight 32-bit lanes; `m` is the reciprocal of twice the divisor.
    function _halfUp(uint256 lanes, uint256 divisor, uint256 m) private pure returns (uint256) {
        unchecked {
            uint256 doubled = 2 * lanes + divisor * ONES32;
            return (doubled & EACH32).divide64(m) | (((doubled >> 32) & EACH32).divide64(m) << 32);
        }
    }

    function _sum(uint256[] memory values) private pure returns (uint256 total) {
        for (uint256 k; k < values.length; ++k) {
            total += values[k];
        }
    }
}
