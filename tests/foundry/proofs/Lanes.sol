// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ScoreLanes} from "../../../contracts/libraries/ScoreLanes.sol";

/// @notice Every lane operation against what it says of each lane, for all words that its assumption admits. A `check` function is proved
/// by halmos for all its arguments, among them the lane `i` that is looked at.
contract LaneProofs {
    uint256 private constant GUARD = 0x8000800080008000800080008000800080008000800080008000800080008000;

    /// @dev Proved for all counts below 2²⁵²; items are at most 4096.
    function check_head(uint256 count, uint256 i) external pure {
        if (i >= 16 || count >= 1 << 252) return;
        assert(_lane(ScoreLanes.head(count), i) == (i < count ? 0xFFFF : 0));
    }

    function check_spread(uint16 value, uint256 i) external pure {
        if (i >= 16) return;
        assert(_lane(ScoreLanes.spread(value), i) == value);
    }

    function check_aboveOne_flagsEveryExcess(uint256 word, uint256 i) external pure {
        if (i >= 16 || _lane(word, i) <= 10_000) return;
        assert(_lane(ScoreLanes.aboveOne(word), i) == 0x8000);
    }

    /// @dev `ge` is proved by itself below.
    function check_aboveOne_flagsNothingElse(uint256 word) external pure {
        if (word & GUARD != 0 || ScoreLanes.ge(ScoreLanes.spread(10_000), word) != GUARD) return;
        assert(ScoreLanes.aboveOne(word) == 0);
    }

    function check_ge(uint256 a, uint256 b, uint256 i) external pure {
        if (i >= 16 || (a | b) & GUARD != 0) return;
        assert(_lane(ScoreLanes.ge(a, b), i) == (_lane(a, i) >= _lane(b, i) ? 0x8000 : 0));
    }

    function check_units(uint256 word, uint256 i) external pure {
        if (i >= 16) return;
        assert(_lane(ScoreLanes.units(word & GUARD), i) == _lane(word, i) >> 15);
    }

    function check_mask(uint256 word, uint256 i) external pure {
        if (i >= 16) return;
        assert(_lane(ScoreLanes.mask(word & GUARD), i) == (_lane(word, i) >> 15) * 0x7FFF);
    }

    function check_distance(uint256 a, uint256 b, uint256 i) external pure {
        if (i >= 16 || (a | b) & GUARD != 0) return;
        (uint256 x, uint256 y) = (_lane(a, i), _lane(b, i));
        assert(_lane(ScoreLanes.distance(a, b), i) == (x > y ? x - y : y - x));
    }

    function check_oddsAndEvens(uint256 word, uint256 i) external pure {
        if (i >= 8) return;
        assert(_half(ScoreLanes.odds(word), i) == _lane(word, 2 * i + 1));
        assert(_half(ScoreLanes.evens(word), i) == _lane(word, 2 * i));
    }

    function check_pairs(uint256 word, uint256 i) external pure {
        if (i >= 8) return;
        assert(_half(ScoreLanes.pairs(word), i) == _lane(word, 2 * i) + _lane(word, 2 * i + 1));
    }

    /// @dev Of flags, which is all that it is used for.
    function check_total16(uint256 flags) external pure {
        uint256 units = ScoreLanes.units(flags & GUARD);
        uint256 sum;
        unchecked {
            for (uint256 i; i < 16; ++i) {
                sum += _lane(units, i);
            }
        }
        assert(ScoreLanes.total16(units) == sum);
    }

    function check_total32(uint256 word) external pure {
        unchecked {
            // Added in the order of the library, which a prover does not have to find.
            uint256 odd = (_half(word, 7) + _half(word, 3)) + (_half(word, 5) + _half(word, 1));
            uint256 even = (_half(word, 6) + _half(word, 2)) + (_half(word, 4) + _half(word, 0));
            if (odd + even < 1 << 32) assert(ScoreLanes.total32(word) == odd + even);
        }
    }

    function _lane(uint256 word, uint256 i) private pure returns (uint256) {
        unchecked {
            return word >> 16 * (15 - i) & 0xFFFF;
        }
    }

    /// @dev Of eight 32-bit lanes.
    function _half(uint256 word, uint256 i) private pure returns (uint256) {
        unchecked {
            return word >> 32 * (7 - i) & 0xFFFFFFFF;
        }
    }
}
