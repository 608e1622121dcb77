// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ScoreLanes} from "../../../contracts/libraries/ScoreLanes.sol";

/// @notice The loops of `ScoreLanes` against what they say of each lane, for all words. A `check` function's own arguments are the column:
/// its rows are words from byte 4 of the calldata on.
///
/// A loop begins with one row where their number is odd, and goes on by two. One row proves that beginning, two the body; further turns
/// of the body add the same to lanes that have room for 31 rows. Where a score of 2¹⁵ or more is let in, it is in other lanes than the
/// one looked at: what such a score does to its own lane does not matter, as it is refused.
contract SweepProofs {
    uint256 private constant GUARD = 0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 private constant ROWS = 4;

    function check_countsAt_oneRow(uint256 p, uint256 c, uint256 i) external pure {
        (uint256 x, uint256 bar) = (_lane(p, i), _lane(c, i));
        if (i >= 16 || c & GUARD != 0 || x >= 1 << 15) return;
        (uint256 from, uint256 over) = ScoreLanes.countsAt(ROWS, 1, 32, c);
        assert(_lane(from, i) == _if(x >= bar, 1) && _lane(over, i) == _if(x > bar, 1));
    }

    function check_countsAt_twoRows(uint256 p, uint256 q, uint256 c, uint256 i) external pure {
        (uint256 x, uint256 y, uint256 bar) = (_lane(p, i), _lane(q, i), _lane(c, i));
        if (i >= 16 || c & GUARD != 0 || x | y >= 1 << 15) return;
        (uint256 from, uint256 over) = ScoreLanes.countsAt(ROWS, 2, 32, c);
        assert(_lane(from, i) == _if(x >= bar, 1) + _if(y >= bar, 1));
        assert(_lane(over, i) == _if(x > bar, 1) + _if(y > bar, 1));
    }

    /// @dev With the greatest weight, which leaves the least room.
    function check_weightsAt_oneRow(uint256 p, uint256 c, uint256 i) external pure {
        (uint256 x, uint256 bar) = (_lane(p, i), _lane(c, i));
        if (i >= 16 || c & GUARD != 0 || x >= 1 << 15) return;
        uint256[] memory weights = new uint256[](1);
        weights[0] = 1000;
        (uint256 from, uint256 over) = ScoreLanes.weightsAt(ROWS, weights, 32, c);
        assert(_lane(from, i) == _if(x >= bar, 1000) && _lane(over, i) == _if(x > bar, 1000));
    }

    function check_weightsAt_twoRows(uint256 p, uint256 q, uint256 c, uint256 i) external pure {
        (uint256 x, uint256 y, uint256 bar) = (_lane(p, i), _lane(q, i), _lane(c, i));
        if (i >= 16 || c & GUARD != 0 || x | y >= 1 << 15) return;
        (uint256 from, uint256 over) = ScoreLanes.weightsAt(ROWS, _two(1000, 437), 32, c);
        assert(_lane(from, i) == _if(x >= bar, 1000) + _if(y >= bar, 437));
        assert(_lane(over, i) == _if(x > bar, 1000) + _if(y > bar, 437));
    }

    /// @dev Of values below 2¹⁵ within `keep`.
    function check_sumDown(uint256 p, uint256 q, uint256 r, uint256 keep, uint256 i) external pure {
        if (i >= 8 || (p | q | r) & keep & GUARD != 0) return;
        (uint256 odd, uint256 even) = ScoreLanes.sumDown(ROWS, 3, 32, keep);
        (p, q, r) = (p & keep, q & keep, r & keep);
        assert(_half(odd, i) == _lane(p, 2 * i + 1) + _lane(q, 2 * i + 1) + _lane(r, 2 * i + 1));
        assert(_half(even, i) == _lane(p, 2 * i) + _lane(q, 2 * i) + _lane(r, 2 * i));
    }

    function check_clampDown_countsOneRow(uint256 p, uint256 lo, uint256 hi, uint256 i) external pure {
        (uint256 x, uint256 l, uint256 h) = (_lane(p, i), _lane(lo, i), _lane(hi, i));
        if (i >= 16 || !_ordered(lo, hi) || x >= 1 << 15) return;
        (uint256 atLo, uint256 atHi,,) = ScoreLanes.clampDown(ROWS, 1, 32, lo, hi, 0, 0);
        assert(_lane(atLo, i) == _if(x >= l, 1) + _if(x > l, 256));
        assert(_lane(atHi, i) == _if(x >= h, 1) + _if(x > h, 256));
    }

    function check_clampDown_countsTwoRows(uint256 p, uint256 q, uint256 lo, uint256 hi, uint256 i) external pure {
        (uint256 x, uint256 y, uint256 l, uint256 h) = (_lane(p, i), _lane(q, i), _lane(lo, i), _lane(hi, i));
        if (i >= 16 || !_ordered(lo, hi) || x | y >= 1 << 15) return;
        (uint256 atLo, uint256 atHi,,) = ScoreLanes.clampDown(ROWS, 2, 32, lo, hi, 0, 0);
        assert(_lane(atLo, i) == _if(x >= l, 1) + _if(y >= l, 1) + _if(x > l, 256) + _if(y > l, 256));
        assert(_lane(atHi, i) == _if(x >= h, 1) + _if(y >= h, 1) + _if(x > h, 256) + _if(y > h, 256));
    }

    function check_clampDown_sumsOneRow(uint256 p, uint256 lo, uint256 hi, uint256 i) external pure {
        if (i >= 8 || !_ordered(lo, hi) || p & GUARD != 0) return;
        (,, uint256 odd, uint256 even) = ScoreLanes.clampDown(ROWS, 1, 32, lo, hi, 0, 0);
        assert(_half(odd, i) == _kept(p, lo, hi, 2 * i + 1));
        assert(_half(even, i) == _kept(p, lo, hi, 2 * i));
    }

    function check_clampDown_sumsTwoRows_firstLanes(uint256 p, uint256 q, uint256 lo, uint256 hi) external pure {
        _sumsTwoRows(p, q, lo, hi, 0);
    }

    function check_clampDown_sumsTwoRows_lastLanes(uint256 p, uint256 q, uint256 lo, uint256 hi) external pure {
        _sumsTwoRows(p, q, lo, hi, 7);
    }

    /// @dev No score above 10 000 passes unflagged, whatever its neighbours.
    function check_aboveOneAlong_flagsEveryExcess(uint256[8] calldata s, uint256 i) external pure {
        if (i >= 16) return;
        uint256 flags = ScoreLanes.aboveOneAlong(ROWS, ROWS + 256);
        for (uint256 k; k < 8; ++k) {
            if (_lane(s[k], i) > 10_000) assert(flags & GUARD != 0);
        }
    }

    /// @dev And no right score is flagged.
    function check_aboveOneAlong_flagsNoScore(uint256[8] calldata s, uint256 i) external pure {
        if (i >= 16) return;
        for (uint256 k; k < 8; ++k) {
            if (ScoreLanes.aboveOne(s[k]) != 0) return;
        }
        assert(ScoreLanes.aboveOneAlong(ROWS, ROWS + 256) & GUARD == 0);
    }

    /* INTERNAL */

    /// @dev That `ge` says so is proved in `LaneProofs`.
    function _ordered(uint256 lo, uint256 hi) private pure returns (bool) {
        return (lo | hi) & GUARD == 0 && ScoreLanes.ge(hi, lo) == GUARD;
    }

    /// @dev (s − lo)⁺ − (s − hi)⁺, see `ScoreLanes.clampDown`.
    function _kept(uint256 s, uint256 lo, uint256 hi, uint256 i) private pure returns (uint256) {
        (uint256 x, uint256 l, uint256 h) = (_lane(s, i), _lane(lo, i), _lane(hi, i));
        unchecked {
            return _if(x > l, x - l) - _if(x > h, x - h);
        }
    }

    /// @dev Of values below 2¹⁵, the lanes of the odd and even half `i`.
    function _sumsTwoRows(uint256 p, uint256 q, uint256 lo, uint256 hi, uint256 i) private pure {
        if (!_ordered(lo, hi) || (p | q) & GUARD != 0) return;
        (,, uint256 odd, uint256 even) = ScoreLanes.clampDown(ROWS, 2, 32, lo, hi, 0, 0);
        assert(_half(odd, i) == _kept(p, lo, hi, 2 * i + 1) + _kept(q, lo, hi, 2 * i + 1));
        assert(_half(even, i) == _kept(p, lo, hi, 2 * i) + _kept(q, lo, hi, 2 * i));
    }

    function _two(uint256 u, uint256 v) private pure returns (uint256[] memory values) {
        values = new uint256[](2);
        (values[0], values[1]) = (u, v);
    }

    /// @dev `value` or zero, without a branch: a proof takes every way through.
    function _if(bool set, uint256 value) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := and(sub(0, set), value)
        }
    }

    function _lane(uint256 word, uint256 i) private pure returns (uint256) {
        unchecked {
            return word >> 16 * (15 - i) & 0xFFFF;
        }
    }

    function _half(uint256 word, uint256 i) private pure returns (uint256) {
        unchecked {
            return word >> 32 * (7 - i) & 0xFFFFFFFF;
        }
    }
}
