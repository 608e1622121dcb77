// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters, Rule} from "../../contracts/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../contracts/interfaces/INodeRegistry.sol";
import {Consensus} from "../../contracts/libraries/Consensus.sol";
import {Judged} from "../../contracts/libraries/Judged.sol";
import {Rewards} from "../../contracts/libraries/Rewards.sol";
import {ScoreLanes} from "../../contracts/libraries/ScoreLanes.sol";
import {Trust} from "../../contracts/libraries/Trust.sol";
import {WEIGHT_UNIT} from "../../contracts/libraries/Units.sol";

/// @notice All that a settlement computes, for many rounds of one shape in one call: no storage, hashes or money moved, so that millions
/// of rounds can be compared with `oracle.core`. What `QualityRounds` and `NodeRegistry` do with the libraries, in the same order.
contract RoundsHarness {
    using ScoreLanes for bytes;

    /// @dev What the rounds of a call share. `seats` of `panelSize` revealed.
    struct Shape {
        Rule rule;
        uint256 trim;
        uint256 seats;
        uint256 panelSize;
        uint256[] sizes; // items of each batch
        bytes32[] salts; // of the revealed seats
        uint256 evaluatorBudget;
        uint256 inferenceBudget;
        RoundsParameters rounds;
        TrustParameters trust;
    }

    /// @dev One round after the other, packed big-endian: 2 bytes a score and submitted value, 4 a trust, 5 a time, 2 a cost.
    struct Rounds {
        bytes scores;
        bytes trusts; //  at the draw
        bytes current; // trusts when the round settles
        bytes elapsed;
        bytes costs;
        bytes submissions;
    }

    /// @notice Returns of each of `count` rounds: consensus, pivot, deviations, disagreements (2 bytes each), new trusts (4),
    /// rewards of seats and of batches (16).
    function settle(Shape calldata shape, Rounds calldata rounds, uint256 count)
        external
        pure
        returns (bytes[] memory results)
    {
        results = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            results[i] = _settle(shape, rounds, i, count);
        }
    }

    function _settle(Shape calldata shape, Rounds calldata rounds, uint256 i, uint256 count)
        private
        pure
        returns (bytes memory)
    {
        bytes calldata scores = _part(rounds.scores, i, count);
        uint256 items = scores.length / (2 * shape.seats);
        uint256[] memory judged = Judged.groups(items, shape.salts);
        (bytes memory agreed, bytes memory pivot) = Consensus.verified(
            shape.rule,
            shape.trim,
            scores,
            items,
            _weights(_part(rounds.trusts, i, count)),
            _part(rounds.submissions, i, count),
            judged
        );
        bytes memory rows = Judged.rows(scores, items, shape.seats, judged);
        bytes memory deviations = Consensus.deviations(rows, Judged.count(items), shape.seats, pivot);
        return bytes.concat(
            agreed,
            pivot,
            deviations,
            _trusts(shape, _part(rounds.current, i, count), rows, pivot, deviations),
            _seatRewards(shape, _part(rounds.elapsed, i, count), deviations),
            _batchRewards(shape, _part(rounds.costs, i, count), agreed, items)
        );
    }

    /// @dev Disagreements, then trusts.
    function _trusts(
        Shape calldata shape,
        bytes calldata current,
        bytes memory rows,
        bytes memory pivot,
        bytes memory deviations
    ) private pure returns (bytes memory result) {
        uint256 items = pivot.length / 2;
        bytes memory disagreements = Consensus.disagreements(rows, items, shape.seats, pivot, deviations);
        result = disagreements;
        TrustParameters memory p = shape.trust;
        uint256 tau = Trust.tolerance(p, disagreements);
        for (uint256 k; k < shape.seats; ++k) {
            uint256 w = Trust.updated(p, _uint(current[4 * k:4 * k + 4]), disagreements.lane(k), tau, items);
            result = bytes.concat(result, bytes4(uint32(w)));
        }
    }

    function _seatRewards(Shape calldata shape, bytes calldata elapsed, bytes memory deviations)
        private
        pure
        returns (bytes memory result)
    {
        RoundsParameters memory p = shape.rounds;
        for (uint256 k; k < shape.seats; ++k) {
            uint256 time = _uint(elapsed[5 * k:5 * k + 5]);
            uint256 reward = Rewards.seat(p, shape.evaluatorBudget, shape.panelSize, deviations.lane(k), time);
            result = bytes.concat(result, bytes16(uint128(reward)));
        }
    }

    function _batchRewards(Shape calldata shape, bytes calldata costs, bytes memory agreed, uint256 items)
        private
        pure
        returns (bytes memory result)
    {
        RoundsParameters memory p = shape.rounds;
        uint256 start;
        for (uint256 b; b < shape.sizes.length; ++b) {
            uint256 cost = _uint(costs[2 * b:2 * b + 2]);
            uint256 stop = start + shape.sizes[b];
            (uint256 earning, uint256 sum) = Consensus.above(agreed, start, stop, Rewards.threshold(p, cost));
            uint256 reward = Rewards.batch(p, shape.inferenceBudget, items, cost, earning, sum);
            result = bytes.concat(result, bytes16(uint128(reward)));
            start = stop;
        }
    }

    function _weights(bytes calldata trusts) private pure returns (uint256[] memory weights) {
        weights = new uint256[](trusts.length / 4);
        for (uint256 k; k < weights.length; ++k) {
            weights[k] = _uint(trusts[4 * k:4 * k + 4]) / WEIGHT_UNIT;
        }
    }

    /// @dev The i-th of `count` equal parts.
    function _part(bytes calldata all, uint256 i, uint256 count) private pure returns (bytes calldata) {
        uint256 length = all.length / count;
        return all[i * length:(i + 1) * length];
    }

    function _uint(bytes calldata number) private pure returns (uint256) {
        return uint256(bytes32(number)) >> (256 - 8 * number.length);
    }
}
