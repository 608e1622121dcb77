// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters, Rule} from "../../contracts/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../contracts/interfaces/INodeRegistry.sol";
import {Consensus} from "../../contracts/libraries/Consensus.sol";
import {Judged} from "../../contracts/libraries/Judged.sol";
import {Panel} from "../../contracts/libraries/Panel.sol";
import {ScoreLanes} from "../../contracts/libraries/ScoreLanes.sol";
import {Rewards} from "../../contracts/libraries/Rewards.sol";
import {Trust} from "../../contracts/libraries/Trust.sol";

/// @notice The libraries' functions as calls, for the differential tests against `oracle.core`.
contract ConsensusHarness {
    using ScoreLanes for bytes;

    function verified(
        Rule rule,
        uint256 trim,
        bytes calldata scores,
        uint256 items,
        uint256[] calldata weights,
        bytes calldata submission,
        bytes32[] calldata salts
    ) external pure returns (bytes memory, bytes memory) {
        uint256[] memory judged = Judged.groups(items, salts);
        return Consensus.verified(rule, trim, scores, items, weights, submission, judged);
    }

    function judgedGroups(uint256 items, bytes32[] calldata salts) external pure returns (uint256[] memory) {
        return Judged.groups(items, salts);
    }

    function deviations(
        bytes calldata scores,
        uint256 items,
        uint256 n,
        bytes calldata pivot,
        bytes32[] calldata salts
    ) external pure returns (bytes memory found, bytes memory disagreements) {
        bytes memory rows = Judged.rows(scores, items, n, Judged.groups(items, salts));
        found = Consensus.deviations(rows, Judged.count(items), n, pivot);
        disagreements = Consensus.disagreements(rows, Judged.count(items), n, pivot, found);
    }

    function checkScores(bytes calldata row) external pure {
        Consensus.checkScores(row);
    }

    function trusts(
        TrustParameters calldata p,
        uint256[] calldata current,
        bytes calldata disagreements,
        uint256 items
    ) external pure returns (uint256[] memory updated) {
        bytes memory observed = disagreements;
        uint256 tau = Trust.tolerance(p, observed);
        updated = new uint256[](current.length);
        for (uint256 i; i < current.length; ++i) {
            updated[i] = Trust.updated(p, current[i], observed.lane(i), tau, items);
        }
    }

    function seatReward(
        RoundsParameters calldata p,
        uint256 budget,
        uint256 panelSize,
        uint256 deviation,
        uint256 elapsed
    ) external pure returns (uint256) {
        return Rewards.seat(p, budget, panelSize, deviation, elapsed);
    }

    function batchReward(
        RoundsParameters calldata p,
        uint256 budget,
        uint256 items,
        uint256 cost,
        bytes calldata consensus,
        uint256 start,
        uint256 stop
    ) external pure returns (uint256) {
        (uint256 count, uint256 sum) = Consensus.above(consensus, start, stop, Rewards.threshold(p, cost));
        return Rewards.batch(p, budget, items, cost, count, sum);
    }

    function places(bytes32 seed, uint256 population, uint256 steps) external pure returns (uint256[] memory drawn) {
        Panel.Shuffle memory shuffle = Panel.shuffle(seed, population, steps);
        drawn = new uint256[](steps);
        for (uint256 i; i < steps; ++i) {
            drawn[i] = Panel.next(shuffle);
        }
    }
}
