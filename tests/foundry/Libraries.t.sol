// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TrustParameters} from "../../contracts/interfaces/INodeRegistry.sol";
import {RoundsParameters, Rule} from "../../contracts/interfaces/IQualityRounds.sol";
import {ONE, TRUST_ONE, WEIGHT_UNIT} from "../../contracts/libraries/Units.sol";
import {Deployment} from "./Deployment.sol";
import {Plain} from "./Plain.sol";

/// @notice What is used here of tests/contracts/ConsensusHarness.sol.
interface IConsensusHarness {
    function verified(
        Rule rule,
        uint256 trim,
        bytes calldata scores,
        uint256 items,
        uint256[] calldata weights,
        bytes calldata submission,
        bytes32[] calldata salts
    ) external pure returns (bytes memory consensus, bytes memory pivot);
    function deviations(
        bytes calldata scores,
        uint256 items,
        uint256 n,
        bytes calldata pivot,
        bytes32[] calldata salts
    ) external pure returns (bytes memory found, bytes memory disagreements);
    function trusts(TrustParameters calldata p, uint256[] calldata current, bytes calldata disagreements, uint256 items)
        external
        pure
        returns (uint256[] memory updated);
    function seatReward(RoundsParameters calldata p, uint256 budget, uint256 size, uint256 deviation, uint256 elapsed)
        external
        pure
        returns (uint256);
    function places(bytes32 seed, uint256 population, uint256 steps) external pure returns (uint256[] memory drawn);
}

/// @notice Properties of the libraries, as deployed, for random panels of every size and rule.
contract LibrariesTest is Deployment {
    uint256 private constant MOST_ITEMS = 40;

    IConsensusHarness private harness;
    /// @dev All items of so few are judged, whatever the salts.
    bytes32[] private _noSalts;

    struct Round {
        Rule rule;
        uint256 trim;
        uint256 items;
        bytes scores;
        uint256[] trusts;
        uint256[] weights;
        Plain.Result result;
    }

    function setUp() external {
        harness = IConsensusHarness(_createFrom("tests/contracts/artifacts", "ConsensusHarness", ""));
    }

    function testFuzz_aRightSubmissionGivesThePlainConsensus(uint256 seed) external view {
        Round memory r = _round(seed);
        (bytes memory consensus, bytes memory pivot) =
            harness.verified(r.rule, r.trim, r.scores, r.items, r.weights, r.result.submission, _noSalts);
        require(keccak256(consensus) == keccak256(r.result.consensus), "another consensus");
        require(keccak256(pivot) == keccak256(r.result.pivot), "another pivot");
        (bytes memory found,) = harness.deviations(r.scores, r.items, r.trusts.length, pivot, _noSalts);
        bytes memory expected = Plain.deviations(r.scores, r.items, r.trusts.length, pivot);
        require(keccak256(found) == keccak256(expected), "other deviations");
    }

    function testFuzz_aWrongSubmissionIsRefused(uint256 seed, uint16 value) external view {
        Round memory r = _round(seed);
        uint256 index = _pick(seed, "index", r.result.submission.length / 2);
        uint256 right = Plain.valueAt(r.result.submission, index);
        // Half of the time right next to it.
        uint256 wrong = seed % 2 == 0 ? value : seed % 4 == 1 || right == 0 ? right + 1 : right - 1;
        vm.assume(wrong != right);
        bytes memory submission = Plain.replaced(r.result.submission, index, wrong);
        try harness.verified(r.rule, r.trim, r.scores, r.items, r.weights, submission, _noSalts) {
            revert("accepted");
        } catch {}
    }

    function testFuzz_trustStaysInBoundsAndFallsWithDisagreement(uint256 seed) external view {
        uint256 n = 3 + _pick(seed, "n", 29);
        uint256[] memory current = new uint256[](n);
        bytes memory disagreements = new bytes(2 * n);
        uint256 trust = TRUST_FLOOR + _pick(seed, "trust", TRUST_ONE - TRUST_FLOOR + 1);
        for (uint256 k; k < n; ++k) {
            current[k] = trust;
            Plain.replaced(disagreements, k, _pick(seed ^ k, "disagreement", ONE + 1));
        }
        uint256 items = 1 + _pick(seed, "items", 4096);
        uint256[] memory updated = harness.trusts(_registryParameters().trust, current, disagreements, items);
        for (uint256 k; k < n; ++k) {
            require(updated[k] >= TRUST_FLOOR && updated[k] <= TRUST_ONE, "out of bounds");
            for (uint256 j; j < k; ++j) {
                bool more = Plain.valueAt(disagreements, k) >= Plain.valueAt(disagreements, j);
                require(more ? updated[k] <= updated[j] : updated[k] >= updated[j], "more trust for more disagreement");
            }
        }
    }

    function testFuzz_aSeatEarnsThePlainRewardAndAtMostItsShare(uint128 budget, uint256 seed) external view {
        RoundsParameters memory p = _roundsParameters();
        p.qualityWeight = uint16(1 + _pick(seed, "alpha", ONE));
        p.costWeight = uint16(_pick(seed, "beta", ONE + 1));
        p.closenessScale = uint16(1 + _pick(seed, "delta", ONE));
        uint256 size = 3 + _pick(seed, "size", 29);
        uint256 deviation = _pick(seed, "deviation", ONE + 1);
        uint256 elapsed = _pick(seed, "elapsed", 700);
        uint256 reward = harness.seatReward(p, budget, size, deviation, elapsed);
        require(reward == Plain.seatReward(p, budget, size, deviation, elapsed), "another reward");
        require(reward * size <= budget, "more than its share");
    }

    function testFuzz_aDrawHasEachPlaceOnce(bytes32 seed, uint256 population, uint256 steps) external view {
        population = 1 + population % 200;
        steps = 1 + steps % population;
        uint256[] memory drawn = harness.places(seed, population, steps);
        uint256 seen;
        for (uint256 i; i < steps; ++i) {
            require(drawn[i] < population && seen >> drawn[i] & 1 == 0, "a place is drawn twice, or none");
            seen |= 1 << drawn[i];
        }
    }

    function _round(uint256 seed) private pure returns (Round memory r) {
        uint256 n = 1 + _pick(seed, "n", 31);
        r.rule = Rule(_pick(seed, "rule", 5));
        r.trim = r.rule == Rule.TRIMMED_MEAN ? _pick(seed, "trim", 5_000) : 0;
        r.items = 1 + _pick(seed, "items", n > 8 ? 4 : MOST_ITEMS);
        r.trusts = new uint256[](n);
        r.weights = new uint256[](n);
        r.scores = new bytes(2 * n * r.items);
        uint256 kind = _pick(seed, "kind", 3);
        uint256 random;
        for (uint256 i; i < n * r.items; ++i) {
            random = i % 16 == 0 ? uint256(keccak256(abi.encode(seed, i))) : random >> 16;
            uint256 score = (random & 0xFFFF) % (ONE + 1);
            if (kind == 1) score = 5_000 + random % 3;
            if (kind == 2) score = random % 2 * ONE;
            Plain.replaced(r.scores, i, score);
        }
        for (uint256 k; k < n; ++k) {
            r.trusts[k] = TRUST_FLOOR + _pick(seed ^ k, "trust", TRUST_ONE - TRUST_FLOOR + 1);
            r.weights[k] = r.trusts[k] / WEIGHT_UNIT;
        }
        r.result = Plain.aggregate(r.rule, r.trim, r.scores, r.items, r.trusts);
    }
}
