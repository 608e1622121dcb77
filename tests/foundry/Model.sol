// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Opening, Phase, Rule} from "../../contracts/interfaces/IQualityRounds.sol";
import {TRUST_ONE} from "../../contracts/libraries/Units.sol";
import {Deployment} from "./Deployment.sol";

/// @notice What the contracts should hold, kept beside them: every account, stake, trust, phase and digest as docs/protocol.md says it
/// follows from the actions taken. Actions write it, invariants compare it.
abstract contract Model is Deployment {
    /// @dev A round as its log tells it.
    struct Game {
        Phase phase;
        Rule rule;
        uint16 items;
        uint8 panelSize;
        uint8 quorum;
        address oracle;
        uint40 drawnAt;
        uint32 committed;
        uint32 revealed;
        bytes32 digest;
        bytes32 seed;
        uint256 deposit;
        uint256 paid; // rewards, fee and refund, from the log
        bytes opening; // abi.encode(Opening)
        bytes panel;
        bytes commits; // as in `History`
        bytes32[] before; // the digest before each commit
        bytes32[] steps;
        uint8[] order; // seats as they committed
    }

    uint256 internal constant OWNERS = 8;
    bytes32 internal constant QA = "qa";
    bytes32 internal constant SUMMARIES = "summarization";

    uint256 internal openings;
    mapping(uint256 roundId => Game) internal _games;
    /// @dev Rounds that have not ended.
    uint256[] internal _live;
    uint256 internal escrowed;

    address[] internal accounts;
    mapping(address account => bool) private _known;
    mapping(address account => uint256) internal creditOf;

    uint32 internal registrations;
    mapping(uint32 nodeId => uint256) internal stakeOf;
    mapping(uint32 nodeId => uint256) internal operatorKeyOf;
    mapping(uint32 nodeId => bool) internal listed;
    mapping(uint32 nodeId => mapping(bytes32 domain => uint256)) private _trusts;
    uint256 internal population;
    uint256 internal slashed;
    uint256 internal swept;

    mapping(uint32 nodeId => uint256) internal earnedBy;
    /// @dev In settlements, where it could earn.
    mapping(uint32 nodeId => uint256) internal verifiedReveals;

    /// @dev What should not have been possible, for the message of the invariant.
    string[] internal breaches;

    /* READING */

    function trustOf(uint32 nodeId, bytes32 domain) internal view returns (uint256) {
        uint256 trust = _trusts[nodeId][domain];
        return trust == 0 ? TRUST_ONE : trust;
    }

    /// @notice The node in a seat, as the log of the draw says.
    function nodeIn(bytes memory panel, uint256 seat) internal pure returns (uint32 nodeId) {
        for (uint256 i; i < 4; ++i) {
            nodeId = nodeId << 8 | uint8(panel[28 * seat + i]);
        }
    }

    /// @notice A seat's row, the same at any time: random, near the middle so that scores tie, or extreme.
    function rowOf(uint256 roundId, uint256 seat) internal view returns (bytes memory row) {
        uint256 items = _games[roundId].items;
        uint256 kind = uint256(keccak256(abi.encode(roundId, seat, "kind"))) % 4;
        row = new bytes(2 * items);
        uint256 random;
        for (uint256 i; i < items; ++i) {
            random = i % 16 == 0 ? uint256(keccak256(abi.encode(roundId, seat, i))) : random >> 16;
            uint256 score = (random & 0xFFFF) % 10_001;
            if (kind == 1) score = 5_000 + random % 3;
            if (kind == 2) score = random % 2 * 10_000;
            (row[2 * i], row[2 * i + 1]) = (bytes1(uint8(score >> 8)), bytes1(uint8(score)));
        }
        // Neither is a score: the first leaves the lane's top bit clear.
        if (!isValid(roundId, seat)) row[0] = seat % 2 == 0 ? bytes1(0x7f) : bytes1(0x80);
    }

    /// @notice Whether a seat committed to scores that anybody can settle with.
    function isValid(uint256 roundId, uint256 seat) internal pure returns (bool) {
        return uint256(keccak256(abi.encode(roundId, seat, "valid"))) % 12 != 0;
    }

    function saltOf(uint256 roundId, uint256 seat) internal pure returns (bytes32) {
        return keccak256(abi.encode(roundId, seat, "salt"));
    }

    /* WRITING */

    function _account(address account) internal {
        if (_known[account]) return;
        _known[account] = true;
        accounts.push(account);
    }

    function _owe(address account, uint256 amount) internal {
        _account(account);
        creditOf[account] += amount;
    }

    function _list(uint32 nodeId, bool active) internal {
        if (listed[nodeId] == active) return;
        listed[nodeId] = active;
        population = active ? population + 1 : population - 1;
    }

    function _slash(uint32 nodeId, uint256 due) internal {
        uint256 amount = stakeOf[nodeId] < due ? stakeOf[nodeId] : due;
        if (amount == 0) return;
        stakeOf[nodeId] -= amount;
        slashed += amount;
        _list(nodeId, false);
    }

    function _learn(uint32 nodeId, bytes32 domain, uint256 trust) internal {
        _trusts[nodeId][domain] = trust;
    }

    function _fold(Game storage game, bytes32 step) internal {
        game.digest = keccak256(bytes.concat(game.digest, step));
    }

    function _end(uint256 roundId) internal {
        Game storage game = _games[roundId];
        game.phase = Phase.CLOSED;
        escrowed -= game.deposit;
        for (uint256 i; i < _live.length; ++i) {
            if (_live[i] == roundId) (_live[i], _live[_live.length - 1]) = (_live[_live.length - 1], _live[i]);
        }
        _live.pop();
    }

    function _breach(string memory what) internal {
        breaches.push(what);
    }

    /* TIMES */

    function _commitsClosed(Game storage game) internal view returns (bool) {
        return game.committed == (1 << game.panelSize) - 1 || block.timestamp >= game.drawnAt + COMMIT_WINDOW;
    }

    function _revealsCloseAt(Game storage game) internal view returns (uint256) {
        return game.drawnAt + COMMIT_WINDOW + REVEAL_WINDOW;
    }

    function _opening(Game storage game) internal view returns (Opening memory) {
        return abi.decode(game.opening, (Opening));
    }

    function _count(uint256 bits) internal pure returns (uint256 count) {
        for (; bits != 0; bits >>= 1) {
            count += bits & 1;
        }
    }
}
