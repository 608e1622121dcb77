// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundsParameters, Rule} from "../../contracts/interfaces/IQualityRounds.sol";
import {TrustParameters} from "../../contracts/interfaces/INodeRegistry.sol";
import {Consensus} from "../../contracts/libraries/Consensus.sol";
import {Panel} from "../../contracts/libraries/Panel.sol";
import {Rewards} from "../../contracts/libraries/Rewards.sol";
import {Trust} from "../../contracts/libraries/Trust.sol";

/// @notice The libraries' functions as calls, for the differential tests against `oracle.core`.
contract ConsensusHarness {
    function verified(
        Rule rule,
        uint256 trim,
        bytes calldata scores,
        uint256 items,
        uint256[] calldata weights,
        bytes calldata submission
    ) external pure returns (bytes memory, bytes memory) {
        return Consensus.verified(rule, trim, scores, items, weights, submission);
    }

    function deviations(bytes calldata scores, uint256 items, uint256 n, bytes calldata pivot)
        external
        pure
        returns (uint256[] memory, uint256[] memory)
    {
        return Consensus.deviations(scores, items, n, pivot);
    }

    function checkScores(bytes calldata row) external pure {
        Consensus.checkScores(row);
    }

    function trusts(
        TrustParameters calldata p,
        uint256[] calldata current,
        uint256[] calldata observed,
        uint256 items
    ) external pure returns (uint256[] memory updated) {
        uint256[] memory sorted = observed;
        uint256 tau = Trust.tolerance(p, sorted);
        updated = new uint256[](current.length);
        for (uint256 i; i < current.length; ++i) {
            updated[i] = Trust.updated(p, current[i], observed[i], tau, items);
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
