// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Rule} from "../../contracts/interfaces/IQualityRounds.sol";

/// @notice What checking a round costs the obvious way, and what the rules mean in the obvious words: one score after the other,
/// sorted on chain. The twin that `Consensus` is fuzzed against and measured beside.
contract PlainSettlement {
    event Settled(bytes scores, bytes consensus, uint256[] deviations);

    error Wrong(uint256 item, uint256 submitted, uint256 expected);

    uint256 private constant ONE = 10_000;

    mapping(uint256 round => mapping(uint256 seat => mapping(uint256 item => uint256))) public scoreOf;

    /// @notice Checks a consensus and computes the deviations, and logs what a settlement logs.
    function settle(
        Rule rule,
        uint256 trim,
        bytes calldata scores,
        uint256 items,
        uint256[] calldata weights,
        bytes calldata consensus
    ) external {
        uint256[] memory deviations = new uint256[](weights.length);
        for (uint256 i; i < items; ++i) {
            uint256 expected = consensusOf(rule, trim, scores, items, weights, i);
            uint256 submitted = _at(consensus, i);
            require(submitted == expected, Wrong(i, submitted, expected));
            for (uint256 k; k < weights.length; ++k) {
                uint256 score = _at(scores, k * items + i);
                deviations[k] += score > submitted ? score - submitted : submitted - score;
            }
        }
        for (uint256 k; k < weights.length; ++k) {
            deviations[k] /= items;
        }
        emit Settled(scores, consensus, deviations);
    }

    /// @notice Keeps a row of scores, one word of storage a score.
    function store(uint256 round, uint256 seat, bytes calldata scores) external {
        for (uint256 i; i < scores.length / 2; ++i) {
            scoreOf[round][seat][i] = _at(scores, i);
        }
    }

    /// @notice The consensus of every item, packed, and every seat's deviation.
    function evaluate(Rule rule, uint256 trim, bytes calldata scores, uint256 items, uint256[] calldata weights)
        external
        pure
        returns (bytes memory consensus, bytes memory deviations)
    {
        uint256[] memory distances = new uint256[](weights.length);
        for (uint256 i; i < items; ++i) {
            uint256 c = consensusOf(rule, trim, scores, items, weights, i);
            consensus = bytes.concat(consensus, bytes2(uint16(c)));
            for (uint256 k; k < weights.length; ++k) {
                uint256 score = _at(scores, k * items + i);
                distances[k] += score > c ? score - c : c - score;
            }
        }
        for (uint256 k; k < weights.length; ++k) {
            deviations = bytes.concat(deviations, bytes2(uint16(distances[k] / items)));
        }
    }

    /// @notice The consensus of one item: docs/protocol.md, section 4, word for word.
    function consensusOf(
        Rule rule,
        uint256 trim,
        bytes calldata scores,
        uint256 items,
        uint256[] calldata weights,
        uint256 item
    ) public pure returns (uint256) {
        uint256 n = weights.length;
        uint256[] memory s = new uint256[](n);
        uint256[] memory w = new uint256[](n);
        uint256 totalWeight;
        for (uint256 k; k < n; ++k) {
            uint256 score = _at(scores, k * items + item);
            uint256 j = k;
            for (; j > 0 && s[j - 1] > score; --j) {
                (s[j], w[j]) = (s[j - 1], w[j - 1]);
            }
            (s[j], w[j]) = (score, weights[k]);
            totalWeight += weights[k];
        }
        if (rule == Rule.TRUST_WEIGHTED_MEDIAN) {
            uint256 below;
            for (uint256 k; k < n; ++k) {
                below += w[k];
                if (2 * below >= totalWeight) return s[k];
            }
        }
        if (rule == Rule.TRUST_WEIGHTED_MEAN) {
            uint256 weighted;
            for (uint256 k; k < n; ++k) {
                weighted += w[k] * s[k];
            }
            return _round(weighted, totalWeight);
        }
        uint256 g;
        if (rule == Rule.MEDIAN) g = (n - 1) / 2;
        if (rule == Rule.TRIMMED_MEAN) g = n * trim / ONE < (n - 1) / 2 ? n * trim / ONE : (n - 1) / 2;
        uint256 sum;
        for (uint256 k = g; k < n - g; ++k) {
            sum += s[k];
        }
        return _round(sum, n - 2 * g);
    }

    function _at(bytes calldata packed, uint256 i) private pure returns (uint256) {
        return uint16(bytes2(packed[2 * i:2 * i + 2]));
    }

    function _round(uint256 a, uint256 b) private pure returns (uint256) {
        return (2 * a + b) / (2 * b);
    }
}
