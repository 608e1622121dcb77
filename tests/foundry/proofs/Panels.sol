// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Rule} from "../../../contracts/interfaces/IQualityRounds.sol";
import {Consensus} from "../../../contracts/libraries/Consensus.sol";

/// @notice That `Consensus.verified` accepts the right consensus and no other: for all scores and all submissions of a panel of three and
/// one item, and the weights 1000, 700 and 437.
contract PanelProofs {
    uint256 private constant ONE = 10_000;

    function verified(Rule rule, bytes calldata scores, bytes calldata submission) external pure {
        uint256[] memory weights = new uint256[](3);
        (weights[0], weights[1], weights[2]) = (1000, 700, 437);
        // The one item is judged.
        Consensus.verified(rule, 0, scores, 1, weights, submission, new uint256[](1));
    }

    function check_mean(uint16 a, uint16 b, uint16 c, uint16 submitted) external view {
        if (a > ONE || b > ONE || c > ONE) return;
        // round(Σ / 3) = m: 3m − 1.5 ≤ Σ < 3m + 1.5.
        uint256 sum = 2 * (uint256(a) + b + c) + 3;
        bool right = 6 * uint256(submitted) <= sum && sum < 6 * uint256(submitted) + 6;
        assert(_accepts(Rule.MEAN, a, b, c, submitted) == right);
    }

    function check_median(uint16 a, uint16 b, uint16 c, uint16 submitted) external view {
        if (a > ONE || b > ONE || c > ONE) return;
        uint16 median = _max(_min(a, b), _min(_max(a, b), c));
        assert(_accepts(Rule.MEDIAN, a, b, c, submitted) == (submitted == median));
    }

    /// @dev No weight is half of all, so the weighted median is the median.
    function check_weightedMedian(uint16 a, uint16 b, uint16 c, uint16 submitted) external view {
        if (a > ONE || b > ONE || c > ONE) return;
        uint16 median = _max(_min(a, b), _min(_max(a, b), c));
        assert(_accepts(Rule.TRUST_WEIGHTED_MEDIAN, a, b, c, submitted) == (submitted == median));
    }

    function _accepts(Rule rule, uint16 a, uint16 b, uint16 c, uint16 submitted) private view returns (bool) {
        try this.verified(rule, abi.encodePacked(a, b, c), abi.encodePacked(submitted)) {
            return true;
        } catch {
            return false;
        }
    }

    function _min(uint16 a, uint16 b) private pure returns (uint16) {
        return a < b ? a : b;
    }

    function _max(uint16 a, uint16 b) private pure returns (uint16) {
        return a < b ? b : a;
    }
}
