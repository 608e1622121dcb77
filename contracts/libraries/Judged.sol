// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ScoreLanes} from "./ScoreLanes.sol";
import {MAX_JUDGED} from "./Units.sol";

/// @notice Which items of a round its seats are judged by: all of a small round, a sample of a large one.
///
/// A round of T items is ⌈T / 16⌉ groups of sixteen, one word of a row each; the last one of a large round ends with the round and
/// so may overlap the one before it. Of a round of more than MAX_JUDGED items eight groups are judged, evenly spread, and each is
/// as likely as any other. The salts of the included seats decide which: their commitments bind them, and they
/// are secret until nobody can commit any more. Two limits remain. After the reveal deadline the settler chooses among subsets of
/// the seats, and so among their samples; and a seat that learnt the other salts can withhold its own at the price of its slash.
library Judged {
    using ScoreLanes for bytes;
    using ScoreLanes for uint256[];

    uint256 private constant GROUP = 16;
    uint256 private constant GROUPS = MAX_JUDGED / GROUP;

    /// @notice How many items are judged.
    function count(uint256 items) internal pure returns (uint256) {
        return Math.min(items, MAX_JUDGED);
    }

    /// @notice The first item of each judged group.
    function groups(uint256 items, bytes32[] calldata salts) internal pure returns (uint256[] memory firsts) {
        unchecked {
            uint256 all = (items + GROUP - 1) / GROUP;
            if (items <= MAX_JUDGED) {
                firsts = new uint256[](all);
                for (uint256 i; i < all; ++i) {
                    firsts[i] = GROUP * i;
                }
            } else {
                firsts = new uint256[](GROUPS);
                uint256 start = uint256(keccak256(abi.encodePacked(salts))) % all;
                for (uint256 i; i < GROUPS; ++i) {
                    firsts[i] = Math.min(GROUP * ((start + all * i / GROUPS) % all), items - GROUP);
                }
            }
        }
    }

    /// @notice The judged scores of `n` rows, row by row.
    function rows(bytes calldata scores, uint256 items, uint256 n, uint256[] memory firsts)
        internal
        pure
        returns (bytes memory judged)
    {
        if (items <= MAX_JUDGED) return scores;
        judged = new bytes(2 * MAX_JUDGED * n);
        unchecked {
            uint256 place = judged.pointerInMemory();
            for (uint256 i; i < GROUPS; ++i) {
                uint256 from = scores.pointer() + 2 * firsts[i];
                uint256 to = place + 32 * i;
                for (uint256 end = to + 2 * MAX_JUDGED * n; to < end; to += 2 * MAX_JUDGED) {
                    ScoreLanes.write(to, ScoreLanes.load(from));
                    from += 2 * items;
                }
            }
        }
    }

    /// @notice The judged values of one row; the row itself if it is judged whole.
    function row(bytes memory values, uint256[] memory firsts) internal pure returns (bytes memory judged) {
        if (values.length <= 2 * MAX_JUDGED) return values;
        judged = new bytes(2 * MAX_JUDGED);
        unchecked {
            for (uint256 i; i < GROUPS; ++i) {
                ScoreLanes.write(
                    judged.pointerInMemory() + 32 * i, ScoreLanes.read(values.pointerInMemory() + 2 * firsts[i])
                );
            }
        }
    }
}
