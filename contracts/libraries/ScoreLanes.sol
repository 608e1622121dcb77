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
    uint256 private constant EXCESS = 0x58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF58EF;
    uint256 private constant LOW15 = 0x7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF7FFF;
    uint256 internal constant LOW_HALVES = 0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF;
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

    /// @notice keccak256(header ‖ data) without keeping the concatenation: hashing many rows must not grow memory.
    function hash(bytes32[5] memory header, bytes calldata data) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let start := mload(0x40)
            mcopy(start, header, 160)
            calldatacopy(add(start, 160), data.offset, data.length)
            digest := keccak256(start, add(160, data.length))
        }
    }

    /// @notice All bits of the first `count` lanes; of all sixteen if there are more.
    function head(uint256 count) internal pure returns (uint256) {
        return count < 16 ? ~(type(uint256).max >> (count * 16)) : type(uint256).max;
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

    /* DIVISION */

    /// @notice ⌊lane / divisor⌋ for four 64-bit lanes. Assumes quotients below 2¹⁶ and lane · divisor below 2⁴⁷.
    /// @dev With M = ⌊2⁴⁷ / divisor⌋ + 1, M·divisor = 2⁴⁷ + e and 0 < e ≤ divisor, so lane·M / 2⁴⁷ exceeds lane / divisor by
    /// lane·e / (divisor·2⁴⁷) < 1 / divisor: the floor is the same. Lanes stay below 2¹⁶·2⁴⁷ + 2⁴⁷ < 2⁶⁴, and what the next
    /// lane leaves of its product begins at bit 17.
    function divide64(uint256 word, uint256 divisor) internal pure returns (uint256) {
        unchecked {
            return ((word * ((1 << 47) / divisor + 1)) >> 47) & EACH64;
        }
    }
}
