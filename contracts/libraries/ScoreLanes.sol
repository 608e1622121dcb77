// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Arithmetic on sixteen scores at once, the only assembly of the project.
///
/// A *word* holds sixteen 16-bit lanes; item 0 is the most significant. A score is at most 10 000 < 2¹⁴, so the top bit of
/// each lane, `GUARD`, is free, and so are carries as long as a lane's result stays below 2¹⁶.
///
/// Comparing. With a, b < 2¹⁵ in every lane, (a | GUARD) − b is a + 2¹⁵ − b > 0 lane by lane: no lane borrows from the next, and
/// the lane's top bit is left exactly where a ≥ b. Hence
///
///     ge(a, b) = ((a | GUARD) − b) & GUARD
///
/// Masks. From flags g (top bits only), g − (g >> 15) is 2¹⁵ − 1 = 0x7FFF in each flagged lane and 0 elsewhere, without borrows.
/// As scores have no top bit, that masks them.
///
/// Absolute difference. x = (a | GUARD) − b is 2¹⁵ + (a − b). Where the top bit is set, its other bits are a − b; elsewhere
/// x < 2¹⁵ and b − a = 2¹⁵ − x = (x ^ 0x7FFF) + 1, for 2¹⁵ − 1 − x flips the lower fifteen bits.
///
/// Sums. Sixteen lanes are spread over two words of eight 32-bit lanes, or folded into one by adding neighbours, so that sums
/// over seats or items have room: 4096 · 10 000 < 2³², and twice a weighted sum, 2 · 31 · 1000 · 10 000, is below 2³⁰.
library ScoreLanes {
    uint256 internal constant ONES = 0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 internal constant GUARD = 0x8000800080008000800080008000800080008000800080008000800080008000;
    /// @dev 2¹⁵ − 1 − 10 000 in every lane: added to a lane, sets its top bit exactly where the score exceeds 10 000.
    uint256 internal constant EXCESS = 0x58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF;
    uint256 internal constant LOW15 = 0x7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF;
    uint256 internal constant LOW_HALVES = 0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF;
    uint256 internal constant SECOND_BYTES = 0x0100010001000100010001000100010001000100010001000100010001000100;
    /// @dev The lowest quarter of each 64-bit lane: room for a quotient, and not for what the next lane leaves below its point.
    uint256 private constant EACH64 = 0x000000000000FFFF000000000000FFFF000000000000FFFF000000000000FFFF;

    /* LOADING */

    /// @notice Where packed `data` begins in calldata.
    function pointer(bytes calldata data) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := data.offset
        }
    }

    /// @notice Where packed `data` begins in memory.
    function pointerInMemory(bytes memory data) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(data, 32)
        }
    }

    /// @notice Where the first of `values` lies in memory.
    function pointerInMemory(uint256[] memory values) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(values, 32)
        }
    }

    /// @notice The sixteen scores at a calldata pointer. Beyond the end of its data the lanes hold whatever follows: mask
    /// them with `head`.
    function load(uint256 place) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(place)
        }
    }

    /// @notice The word at a memory pointer. Beyond the end of its data as for `load`.
    function read(uint256 place) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(place)
        }
    }

    /// @notice Writes a word at a memory pointer. Assumes that memory is allocated up to whole words, as Solidity does.
    function write(uint256 place, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(place, word)
        }
    }

    /// @notice keccak256(header ‖ data) of `length` bytes in calldata, without keeping the concatenation: hashing many rows must not
    /// grow memory.
    function hash(bytes32[5] memory header, uint256 place, uint256 length) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let start := mload(0x40)
            mcopy(start, header, 160)
            calldatacopy(add(start, 160), place, length)
            digest := keccak256(start, add(160, length))
        }
    }

    /// @notice keccak256(data), without keeping a copy as Solidity's own does.
    function hash(bytes calldata data) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let start := mload(0x40)
            calldatacopy(start, data.offset, data.length)
            digest := keccak256(start, data.length)
        }
    }

    /// @notice The packed value at `index`. Assumes that there is one.
    function lane(bytes memory data, uint256 index) internal pure returns (uint256) {
        unchecked {
            return read(pointerInMemory(data) + 2 * index) >> 240;
        }
    }

    /// @notice All bits of the first `count` lanes; of all sixteen if there are more, for a shift by 256 bits or more leaves nothing.
    function head(uint256 count) internal pure returns (uint256) {
        unchecked {
            return ~(type(uint256).max >> (count * 16));
        }
    }

    /* LANE BY LANE */

    /// @notice `value` in every lane. Assumes it is below 2¹⁶.
    function spread(uint256 value) internal pure returns (uint256) {
        unchecked {
            return value * ONES;
        }
    }

    /// @notice Top bits of the lanes that are no score, that is above 10 000.
    /// @dev A carry out of a lane needs a lane of at least 2¹⁵, which is flagged by itself, so no excess goes unnoticed.
    function aboveOne(uint256 word) internal pure returns (uint256) {
        unchecked {
            return (word | (word + EXCESS)) & GUARD;
        }
    }

    /// @notice Top bits of the lanes where a ≥ b. Assumes lanes below 2¹⁵.
    function ge(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            return ((a | GUARD) - b) & GUARD;
        }
    }

    /// @notice One in every lane that `flags` has its top bit in.
    function units(uint256 flags) internal pure returns (uint256) {
        return flags >> 15;
    }

    /// @notice 0x7FFF in every lane that `flags` has its top bit in.
    function mask(uint256 flags) internal pure returns (uint256) {
        unchecked {
            return flags - (flags >> 15);
        }
    }

    /// @notice |a − b|. Assumes lanes below 2¹⁵.
    function distance(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            uint256 x = (a | GUARD) - b;
            uint256 below = ~x & GUARD;
            uint256 one = below >> 15;
            return ((x ^ (below - one)) & LOW15) + one;
        }
    }

    /* SUMS */

    /// @notice Eight 32-bit sums of neighbouring lanes.
    function pairs(uint256 word) internal pure returns (uint256) {
        unchecked {
            return odds(word) + evens(word);
        }
    }

    /// @notice The sum of sixteen lanes. Assumes that it is below 2¹⁶.
    /// @dev word · ONES has in its top lane the sum of all, and no lane below carries into it.
    function total16(uint256 word) internal pure returns (uint256) {
        unchecked {
            return (word * ONES) >> 240;
        }
    }

    /// @notice The sum of eight 32-bit lanes. Assumes that it is below 2³².
    function total32(uint256 word) internal pure returns (uint256) {
        unchecked {
            word += word >> 128;
            word += word >> 64;
            word += word >> 32;
            return word & 0xFFFFFFFF;
        }
    }

    /// @notice Lanes 1, 3, 5, … as eight 32-bit lanes: those in the lower half of each.
    function odds(uint256 word) internal pure returns (uint256) {
        return word & LOW_HALVES;
    }

    /// @notice Lanes 0, 2, 4, … as eight 32-bit lanes.
    function evens(uint256 word) internal pure returns (uint256) {
        return (word >> 16) & LOW_HALVES;
    }

    /* DOWN A COLUMN AND ALONG A ROW */

    // The loops that see every score, two rows or four words at a time. A column is one word of each row, `stride` bytes apart.
    //
    // x = (s | GUARD) − c has its top bit where s ≥ c, and x − 1 where s > c: as c < 2¹⁵, x is at least 1 in every lane, so
    // neither subtraction borrows from the next lane, whatever s. (x >> 15) & ONES is one where the top bit is, times 0x7FFF the
    // mask of that lane: (s − c)⁺ is x under that mask.

    /// @notice How many scores of a column are at least `c`, and how many exceed it, lane by lane. Assumes `c` below 2¹⁵.
    function countsAt(uint256 place, uint256 rows, uint256 stride, uint256 c)
        internal
        pure
        returns (uint256 from, uint256 over)
    {
        assembly ("memory-safe") {
            let end := add(place, mul(rows, stride))
            if and(rows, 1) {
                let x := sub(or(calldataload(place), GUARD), c)
                from := and(shr(15, x), ONES)
                over := and(shr(15, sub(x, ONES)), ONES)
                place := add(place, stride)
            }
            for {} lt(place, end) {} {
                let x := sub(or(calldataload(place), GUARD), c)
                place := add(place, stride)
                let y := sub(or(calldataload(place), GUARD), c)
                place := add(place, stride)
                from := add(add(from, and(shr(15, x), ONES)), and(shr(15, y), ONES))
                over := add(add(over, and(shr(15, sub(x, ONES)), ONES)), and(shr(15, sub(y, ONES)), ONES))
            }
        }
    }

    /// @notice As `countsAt`, each row counting with its own of the `weights` in memory.
    function weightsAt(uint256 place, uint256[] memory weights, uint256 stride, uint256 c)
        internal
        pure
        returns (uint256 from, uint256 over)
    {
        assembly ("memory-safe") {
            let rows := mload(weights)
            let end := add(place, mul(rows, stride))
            let w := add(weights, 32)
            if and(rows, 1) {
                let x := sub(or(calldataload(place), GUARD), c)
                from := mul(and(shr(15, x), ONES), mload(w))
                over := mul(and(shr(15, sub(x, ONES)), ONES), mload(w))
                place := add(place, stride)
                w := add(w, 32)
            }
            for {} lt(place, end) {} {
                let x := sub(or(calldataload(place), GUARD), c)
                place := add(place, stride)
                let y := sub(or(calldataload(place), GUARD), c)
                place := add(place, stride)
                let v := mload(w)
                from := add(from, mul(and(shr(15, x), ONES), v))
                over := add(over, mul(and(shr(15, sub(x, ONES)), ONES), v))
                v := mload(add(w, 32))
                from := add(from, mul(and(shr(15, y), ONES), v))
                over := add(over, mul(and(shr(15, sub(y, ONES)), ONES), v))
                w := add(w, 64)
            }
        }
    }

    /// @notice The sums of a column's odd and even lanes, as `odds` and `evens`, of the lanes in `keep`.
    function sumDown(uint256 place, uint256 rows, uint256 stride, uint256 keep)
        internal
        pure
        returns (uint256 odd, uint256 even)
    {
        assembly ("memory-safe") {
            let end := add(place, mul(rows, stride))
            if and(rows, 1) {
                let s := and(calldataload(place), keep)
                odd := and(s, LOW_HALVES)
                even := and(shr(16, s), LOW_HALVES)
                place := add(place, stride)
            }
            for {} lt(place, end) {} {
                // Two scores are below 2¹⁶.
                let s := and(calldataload(place), keep)
                place := add(place, stride)
                s := add(s, and(calldataload(place), keep))
                place := add(place, stride)
                odd := add(odd, and(s, LOW_HALVES))
                even := add(even, and(shr(16, s), LOW_HALVES))
            }
        }
    }

    /// @notice The weighted sums of a column's odd and even lanes, as `odds` and `evens`. Assumes weights of at most 31 000 in all.
    /// @dev `full` is the sum of weighted words: as a number, that of the odd lanes and 2¹⁶ times that of the even ones. Sums are
    /// below 2³², so taking the even ones away leaves the odd ones, modulo 2²⁵⁶.
    function weightedDown(uint256 place, uint256[] memory weights, uint256 stride)
        internal
        pure
        returns (uint256 odd, uint256 even)
    {
        assembly ("memory-safe") {
            let full := 0
            let rows := mload(weights)
            let end := add(place, mul(rows, stride))
            let w := add(weights, 32)
            if and(rows, 1) {
                let a := calldataload(place)
                let v := mload(w)
                full := mul(a, v)
                even := mul(and(shr(16, a), LOW_HALVES), v)
                place := add(place, stride)
                w := add(w, 32)
            }
            for {} lt(place, end) {} {
                let a := calldataload(place)
                place := add(place, stride)
                let v := mload(w)
                full := add(full, mul(a, v))
                even := add(even, mul(and(shr(16, a), LOW_HALVES), v))
                a := calldataload(place)
                place := add(place, stride)
                v := mload(add(w, 32))
                full := add(full, mul(a, v))
                even := add(even, mul(and(shr(16, a), LOW_HALVES), v))
                w := add(w, 64)
            }
            odd := sub(full, shl(16, even))
        }
    }

    /// @notice Of a column and two bounds: how many scores are at least a bound, added to the lower bytes of the lanes of `atLo` and
    /// `atHi`, how many exceed it, added to the upper ones, and the sums of the odd and even lanes of (s − lo)⁺ − (s − hi)⁺. Assumes
    /// lo ≤ hi below 2¹⁵.
    function clampDown(
        uint256 place,
        uint256 rows,
        uint256 stride,
        uint256 lo,
        uint256 hi,
        uint256 atLo,
        uint256 atHi
    ) internal pure returns (uint256, uint256, uint256 odd, uint256 even) {
        assembly ("memory-safe") {
            for { let end := add(place, mul(rows, stride)) } lt(place, end) { place := add(place, stride) } {
                let s := or(calldataload(place), GUARD)
                let x := sub(s, lo)
                let flags := and(shr(15, x), ONES)
                atLo := add(add(atLo, flags), and(shr(7, sub(x, ONES)), SECOND_BYTES))
                let kept := and(x, mul(flags, 0x7FFF))
                x := sub(s, hi)
                flags := and(shr(15, x), ONES)
                atHi := add(add(atHi, flags), and(shr(7, sub(x, ONES)), SECOND_BYTES))
                kept := sub(kept, and(x, mul(flags, 0x7FFF)))
                odd := add(odd, and(kept, LOW_HALVES))
                even := add(even, and(shr(16, kept), LOW_HALVES))
            }
        }
        return (atLo, atHi, odd, even);
    }

    /// @notice Top bits of the lanes that are no score in a word of calldata from `place` to before `end`, eight words at a time.
    function aboveOneAlong(uint256 place, uint256 end) internal pure returns (uint256 flags) {
        assembly ("memory-safe") {
            for {} lt(place, end) { place := add(place, 256) } {
                let s := calldataload(place)
                flags := or(flags, or(s, add(s, EXCESS)))
                s := calldataload(add(place, 32))
                flags := or(flags, or(s, add(s, EXCESS)))
                s := calldataload(add(place, 64))
                flags := or(flags, or(s, add(s, EXCESS)))
                s := calldataload(add(place, 96))
                flags := or(flags, or(s, add(s, EXCESS)))
                s := calldataload(add(place, 128))
                flags := or(flags, or(s, add(s, EXCESS)))
                s := calldataload(add(place, 160))
                flags := or(flags, or(s, add(s, EXCESS)))
                s := calldataload(add(place, 192))
                flags := or(flags, or(s, add(s, EXCESS)))
                s := calldataload(add(place, 224))
                flags := or(flags, or(s, add(s, EXCESS)))
            }
            flags := and(flags, GUARD)
        }
    }

    /// @notice Along the whole words of memory from `place` to before `end`, two at a time, which hold c, and of those that lie `ahead`
    /// of them (modulo 2²⁵⁶), which hold s: Σ |s − c| in eight 32-bit lanes. Assumes scores.
    /// @dev |s − c| = 2·(s − c)⁺ + c − s, taken as words modulo 2²⁵⁶: two of them are below 2¹⁵ in every lane.
    function distancesAlong(uint256 place, uint256 end, uint256 ahead) internal pure returns (uint256 sum) {
        assembly ("memory-safe") {
            for {} lt(place, end) { place := add(place, 64) } {
                let s := mload(add(place, ahead))
                let c := mload(place)
                let x := sub(or(s, GUARD), c)
                let over := and(x, mul(and(shr(15, x), ONES), 0x7FFF))
                let total := sub(c, s)

                s := mload(add(add(place, 32), ahead))
                c := mload(add(place, 32))
                x := sub(or(s, GUARD), c)
                over := add(over, and(x, mul(and(shr(15, x), ONES), 0x7FFF)))
                total := add(total, sub(c, s))

                total := add(total, shl(1, over))
                sum := add(sum, add(and(total, LOW_HALVES), and(shr(16, total), LOW_HALVES)))
            }
        }
    }

    /* DIVISION */

    /// @notice What `divide64` multiplies by: ⌊2⁴⁷ / divisor⌋ + 1.
    function reciprocal(uint256 divisor) internal pure returns (uint256) {
        unchecked {
            return (1 << 47) / divisor + 1;
        }
    }

    /// @notice ⌊lane / divisor⌋ for four 64-bit lanes, with `m` the `reciprocal` of the divisor. Assumes quotients below 2¹⁶ and
    /// lane · divisor below 2⁴⁷.
    /// @dev m·divisor = 2⁴⁷ + e and 0 < e ≤ divisor, so lane·m / 2⁴⁷ exceeds lane / divisor by lane·e / (divisor·2⁴⁷) < 1 / divisor: the
    /// floor is the same. Lanes stay below 2¹⁶·2⁴⁷ + 2⁴⁷ < 2⁶⁴, and what the next lane leaves of its product begins at bit 17.
    function divide64(uint256 word, uint256 m) internal pure returns (uint256) {
        unchecked {
            return ((word * m) >> 47) & EACH64;
        }
    }
}
