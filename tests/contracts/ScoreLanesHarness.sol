// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ScoreLanes} from "../../contracts/libraries/ScoreLanes.sol";

/// @notice Every function of `ScoreLanes` beside a twin that anybody can read: a loop over the lanes.
contract ScoreLanesHarness {
    using ScoreLanes for bytes;
    using ScoreLanes for uint256;
    using ScoreLanes for uint256[];
    using ScoreLanes for bytes32[5];

    /// @dev What is done to two words. `ANY_ABOVE_ONE` asks of `aboveOne` only whether it flags anything.
    enum Operation {
        HEAD,
        SPREAD,
        ABOVE_ONE,
        ANY_ABOVE_ONE,
        GE,
        UNITS,
        MASK,
        DISTANCE,
        PAIRS,
        TOTAL32,
        ODDS,
        EVENS,
        DIVIDE64,
        TOTAL16
    }

    /// @dev What is done down a column or along a row.
    enum Sweep {
        COUNTS_AT,
        WEIGHTS_AT,
        SUM_DOWN,
        WEIGHTED_DOWN,
        CLAMP_DOWN,
        ABOVE_ONE_ALONG,
        DISTANCES_ALONG
    }

    error Differs(uint256 a, uint256 b, uint256 lanes, uint256 twin);

    uint256 private constant SCORE_LIMIT = 10_000;
    uint256 private constant QUOTIENT_LIMIT = 1 << 15;

    /* LANES */

    /// @notice The operation on each pair of words of `a` and `b`, by the library.
    function lanes(Operation operation, bytes calldata a, bytes calldata b) external pure returns (bytes memory) {
        uint256[] memory results = new uint256[](a.length / 32);
        for (uint256 i; i < results.length; ++i) {
            results[i] = _lanes(operation, _word(a, i), _word(b, i));
        }
        return abi.encodePacked(results);
    }

    /// @notice The same by the twin.
    function twin(Operation operation, bytes calldata a, bytes calldata b) external pure returns (bytes memory) {
        uint256[] memory results = new uint256[](a.length / 32);
        for (uint256 i; i < results.length; ++i) {
            results[i] = _twin(operation, _word(a, i), _word(b, i));
        }
        return abi.encodePacked(results);
    }

    /// @notice Compares `divide64` with `/` for every quotient of 15 bits. Both only grow with the numerator and `/` only at
    /// multiples of the divisor, so it is enough to look there and right below. Returns how many multiples were looked at.
    function divide(uint256 divisor) external pure returns (uint256 multiples) {
        for (uint256 n = divisor; n < QUOTIENT_LIMIT * divisor; n += divisor) {
            uint256 word = n - 1 | n << 64 | n - 1 << 128 | n << 192;
            uint256 q = n / divisor;
            uint256 expected = q - 1 | q << 64 | q - 1 << 128 | q << 192;
            uint256 found = ScoreLanes.divide64(word, ScoreLanes.reciprocal(divisor));
            require(found == expected, Differs(word, divisor, found, expected));
            ++multiples;
        }
    }

    /* SWEEPS */

    /// @notice Sweeps by library and by twin over columns of `weights.length` words, one after the other in `words`; each has two words of
    /// `bounds`: c, keep, lo and hi, as the sweep needs. Returns how many columns agreed, which is all of them.
    function sweeps(Sweep sweep, bytes calldata words, bytes calldata bounds, uint256[] calldata weights)
        external
        pure
        returns (uint256 columns)
    {
        uint256 rows = weights.length;
        for (; columns < bounds.length / 64; ++columns) {
            bytes calldata column = words[32 * rows * columns:32 * rows * (columns + 1)];
            uint256 a = _word(bounds, 2 * columns);
            uint256 b = _word(bounds, 2 * columns + 1);
            uint256[4] memory found = _sweep(sweep, column, a, b, weights);
            uint256[4] memory expected = _sweepTwin(sweep, column, a, b, weights);
            for (uint256 i; i < 4; ++i) {
                require(found[i] == expected[i], Differs(columns, i, found[i], expected[i]));
            }
        }
    }

    function _sweep(Sweep sweep, bytes calldata column, uint256 a, uint256 b, uint256[] memory weights)
        private
        pure
        returns (uint256[4] memory r)
    {
        uint256 place = column.pointer();
        uint256 rows = weights.length;
        if (sweep == Sweep.COUNTS_AT) (r[0], r[1]) = ScoreLanes.countsAt(place, rows, 32, a);
        else if (sweep == Sweep.WEIGHTS_AT) (r[0], r[1]) = ScoreLanes.weightsAt(place, weights, 32, a);
        else if (sweep == Sweep.SUM_DOWN) (r[0], r[1]) = ScoreLanes.sumDown(place, rows, 32, b);
        else if (sweep == Sweep.WEIGHTED_DOWN) (r[0], r[1]) = ScoreLanes.weightedDown(place, weights, 32);
        else if (sweep == Sweep.CLAMP_DOWN) (r[0], r[1], r[2], r[3]) = ScoreLanes.clampDown(place, rows, 32, a, b, 0, 0);
        else if (sweep == Sweep.ABOVE_ONE_ALONG) r[0] = ScoreLanes.aboveOneAlong(place, place + rows / 8 * 256) == 0 ? 0 : 1;
        else {
            uint256[] memory consensus = new uint256[](rows / 2 * 2);
            for (uint256 i; i < consensus.length; ++i) {
                consensus[i] = i % 2 == 0 ? a : b;
            }
            bytes memory row = column;
            uint256 first = consensus.pointerInMemory();
            unchecked {
                uint256 ahead = row.pointerInMemory() - first;
                r[0] = ScoreLanes.distancesAlong(first, first + 32 * consensus.length, ahead).total32();
            }
        }
    }

    function _sweepTwin(Sweep sweep, bytes calldata column, uint256 a, uint256 b, uint256[] memory weights)
        private
        pure
        returns (uint256[4] memory r)
    {
        uint256 rows = weights.length;
        if (sweep == Sweep.ABOVE_ONE_ALONG) rows = rows / 8 * 8;
        if (sweep == Sweep.DISTANCES_ALONG) rows = rows / 2 * 2;
        for (uint256 k; k < rows; ++k) {
            uint256 word = _word(column, k);
            for (uint256 i; i < 16; ++i) {
                uint256 shift = 240 - 16 * i;
                uint256 half = 32 * ((15 - i) / 2);
                uint256 s = word >> shift & 0xFFFF;
                uint256 x = a >> shift & 0xFFFF;
                uint256 y = b >> shift & 0xFFFF;
                if (sweep == Sweep.COUNTS_AT || sweep == Sweep.WEIGHTS_AT) {
                    uint256 weight = sweep == Sweep.COUNTS_AT ? 1 : weights[k];
                    if (s >= x) r[0] += weight << shift;
                    if (s > x) r[1] += weight << shift;
                } else if (sweep == Sweep.SUM_DOWN) {
                    r[1 - i % 2] += (s & y) << half;
                } else if (sweep == Sweep.WEIGHTED_DOWN) {
                    r[1 - i % 2] += s * weights[k] << half;
                } else if (sweep == Sweep.CLAMP_DOWN) {
                    if (s >= x) r[0] += 1 << shift;
                    if (s > x) r[0] += 256 << shift;
                    if (s >= y) r[1] += 1 << shift;
                    if (s > y) r[1] += 256 << shift;
                    uint256 clamped = s < x ? x : s > y ? y : s;
                    r[3 - i % 2] += clamped - x << half;
                } else if (sweep == Sweep.ABOVE_ONE_ALONG) {
                    if (s > SCORE_LIMIT) r[0] = 1;
                } else {
                    uint256 c = k % 2 == 0 ? x : y;
                    r[0] += s > c ? s - c : c - s;
                }
            }
        }
    }

    /* LOADING */

    /// @notice Reads `data` word by word from each of its bytes on, from calldata and from memory, and compares.
    function loads(bytes calldata data) external pure returns (uint256 words) {
        bytes memory copy = data;
        for (; words + 32 <= data.length; ++words) {
            uint256 expected = uint256(bytes32(data[words:words + 32]));
            uint256 loaded = ScoreLanes.load(data.pointer() + words);
            uint256 read = ScoreLanes.read(copy.pointerInMemory() + words);
            require(loaded == expected, Differs(words, 0, loaded, expected));
            require(read == expected, Differs(words, 1, read, expected));
            if (words % 2 == 0) {
                uint256 lane = copy.lane(words / 2);
                require(lane == expected >> 240, Differs(words, 2, lane, expected));
            }
        }
    }

    /// @notice Writes `values` into fresh memory and returns what is there then.
    function writes(uint256[] calldata values) external pure returns (uint256[] memory written) {
        written = new uint256[](values.length);
        for (uint256 i; i < values.length; ++i) {
            ScoreLanes.write(written.pointerInMemory() + 32 * i, values[i]);
        }
    }

    /// @notice The library's hash and Solidity's own.
    function hashes(bytes32[5] calldata header, bytes calldata data) external pure returns (bytes32, bytes32) {
        require(data.hash() == keccak256(data), Differs(0, 0, uint256(data.hash()), uint256(keccak256(data))));
        bytes32[5] memory copy = header;
        return (copy.hash(data.pointer(), data.length), keccak256(abi.encodePacked(header, data)));
    }

    /* INTERNAL */

    function _word(bytes calldata data, uint256 i) private pure returns (uint256) {
        return uint256(bytes32(data[32 * i:32 * i + 32]));
    }

    function _lanes(Operation operation, uint256 a, uint256 b) private pure returns (uint256) {
        if (operation == Operation.HEAD) return ScoreLanes.head(a);
        if (operation == Operation.SPREAD) return ScoreLanes.spread(a);
        if (operation == Operation.ABOVE_ONE) return ScoreLanes.aboveOne(a);
        if (operation == Operation.ANY_ABOVE_ONE) return ScoreLanes.aboveOne(a) == 0 ? 0 : 1;
        if (operation == Operation.GE) return ScoreLanes.ge(a, b);
        if (operation == Operation.UNITS) return ScoreLanes.units(a);
        if (operation == Operation.MASK) return ScoreLanes.mask(a);
        if (operation == Operation.DISTANCE) return ScoreLanes.distance(a, b);
        if (operation == Operation.PAIRS) return ScoreLanes.pairs(a);
        if (operation == Operation.TOTAL32) return ScoreLanes.total32(a);
        if (operation == Operation.ODDS) return ScoreLanes.odds(a);
        if (operation == Operation.EVENS) return ScoreLanes.evens(a);
        if (operation == Operation.TOTAL16) return ScoreLanes.total16(a);
        return ScoreLanes.divide64(a, ScoreLanes.reciprocal(b));
    }

    function _twin(Operation operation, uint256 a, uint256 b) private pure returns (uint256 result) {
        if (operation == Operation.TOTAL32) {
            for (uint256 i; i < 8; ++i) {
                result += a >> 32 * i & 0xFFFFFFFF;
            }
            return result;
        }
        if (operation == Operation.DIVIDE64) {
            for (uint256 i; i < 4; ++i) {
                result |= (a >> 64 * i & 0xFFFFFFFFFFFFFFFF) / b << 64 * i;
            }
            return result;
        }
        for (uint256 i; i < 16; ++i) {
            // Lane 0 is the most significant.
            uint256 shift = 240 - 16 * i;
            uint256 x = a >> shift & 0xFFFF;
            uint256 y = b >> shift & 0xFFFF;
            if (operation == Operation.HEAD) result |= _flag(i < a, 0xFFFF) << shift;
            else if (operation == Operation.SPREAD) result |= a << shift;
            else if (operation == Operation.ABOVE_ONE) result |= _flag(x > SCORE_LIMIT, 0x8000) << shift;
            else if (operation == Operation.ANY_ABOVE_ONE) result |= _flag(x > SCORE_LIMIT, 1);
            else if (operation == Operation.GE) result |= _flag(x >= y, 0x8000) << shift;
            else if (operation == Operation.UNITS) result |= _flag(x == 0x8000, 1) << shift;
            else if (operation == Operation.MASK) result |= _flag(x == 0x8000, 0x7FFF) << shift;
            else if (operation == Operation.TOTAL16) result += x;
            else if (operation == Operation.DISTANCE) result |= (x > y ? x - y : y - x) << shift;
            else if (operation == Operation.PAIRS) result += x << 32 * ((15 - i) / 2);
            else if (operation == Operation.ODDS) result |= _flag(i % 2 == 1, x) << shift;
            else result |= _flag(i % 2 == 0, x << shift) >> 16;
        }
    }

    function _flag(bool set, uint256 value) private pure returns (uint256) {
        return set ? value : 0;
    }
}
