// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Outcome, Role} from "../../contracts/interfaces/INodeRegistry.sol";
import {History, IQualityRounds, Phase} from "../../contracts/interfaces/IQualityRounds.sol";
import {Endings} from "./Endings.sol";
import {Plain} from "./Plain.sol";

/// @notice A network that plays whole rounds, honest and not, for invariants to be checked after every action. An action that is not
/// possible now is discarded, never reverted: a revert is a finding. What must be refused is tried and has to be.
contract Handler is Endings {
    uint256 private constant BLOCK_TIME = 12;

    constructor() {
        vm.roll(1_000);
        vm.warp(1_700_000_000);
        _deploy();
        for (uint256 i; i < 9; ++i) {
            _register(Role.EVALUATOR, i);
        }
        for (uint256 i; i < 2; ++i) {
            _register(Role.INFERENCE, 100 + i);
        }
        vm.roll(1_001);
    }

    /* TIME */

    /// @dev A few blocks: what a draw waits for.
    function mine(uint256 seed) external {
        vm.assume(seed % 2 == 0);
        _pass((1 + seed % 4) * BLOCK_TIME);
    }

    /// @dev Up to ten minutes; one time in eight the rest of a round's windows, one in sixty-four an exit delay.
    function wait(uint256 seed) external {
        uint256 longest = seed % 8 == 0 ? 2_400 : 400;
        _pass(seed % 64 == 1 ? EXIT_DELAY : 1 + _pick(seed, "seconds", longest));
    }

    function _pass(uint256 time) private {
        vm.warp(block.timestamp + time);
        vm.roll(block.number + (time + BLOCK_TIME - 1) / BLOCK_TIME);
    }

    /* WHAT MUST BE REFUSED */

    /// @dev One unit off in one item of what is submitted, a score more or less than committed, or a seat left out or smuggled in.
    function settleFalsely(uint256 seed) external {
        Settlement memory s = _settlement(seed, _round(seed, _settleable));
        uint256 way = seed % 4;
        if (way == 0) {
            uint256 index = _pick(seed, "item", s.result.submission.length / 2);
            uint256 value = Plain.valueAt(s.result.submission, index);
            s.result.submission =
                Plain.replaced(s.result.submission, index, value == 0 || seed % 8 < 4 ? value + 1 : value - 1);
        } else if (way == 1) {
            uint256 index = _pick(seed, "score", s.reveals.scores.length / 2);
            uint256 value = Plain.valueAt(s.reveals.scores, index);
            s.reveals.scores = Plain.replaced(s.reveals.scores, index, value == 0 ? 1 : value - 1);
        } else if (way == 2) {
            s.reveals.salts[_pick(seed, "salt", s.seats.length)] ^= bytes32(uint256(1));
        } else {
            s.reveals.seats ^= 1 << _pick(seed, "seat", 31);
        }
        _mustFail(
            s.settler,
            address(rounds),
            abi.encodeCall(IQualityRounds.settle, (s.roundId, s.history, s.reveals, s.result.submission)),
            "a false settlement was accepted"
        );
    }

    function settleEarly(uint256 seed) external {
        vm.assume(seed % 2 == 0);
        uint256 roundId = _round(seed, _notYetSettleable);
        Settlement memory s = _settlement(seed, roundId);
        _mustFail(
            s.settler,
            address(rounds),
            abi.encodeCall(IQualityRounds.settle, (roundId, s.history, s.reveals, s.result.submission)),
            "a settlement came before its time"
        );
    }

    function cancelEarly(uint256 seed) external {
        vm.assume(seed % 4 == 0);
        uint256 roundId = _round(seed, _notYetCancellable);
        bytes memory call = abi.encodeCall(IQualityRounds.cancelUndrawn, (roundId, _opening(_games[roundId])));
        if (_games[roundId].phase == Phase.DRAWN) {
            (History memory history,) = _history(roundId, 0);
            call = abi.encodeCall(IQualityRounds.cancel, (roundId, history));
        }
        _mustFail(address(this), address(rounds), call, "a round was cancelled before its time");
    }

    /// @dev The last ending once more.
    function endAgain(uint256 seed) external {
        vm.assume(_endedRound != 0 && seed % 8 == 0);
        _mustFail(ORACLE, address(rounds), _endingCall, "a round ended twice");
        _mustFail(address(this), address(rounds), _endingCall, "a round ended twice");
    }

    function commitAgain(uint256 seed) external {
        vm.assume(seed % 4 == 0);
        uint256 roundId = _round(seed, _committed);
        Game storage game = _games[roundId];
        uint256 seat = game.order[_pick(seed, "place", game.order.length)];
        _mustFail(
            vm.addr(operatorKeyOf[nodeIn(game.panel, seat)]),
            address(rounds),
            abi.encodeCall(IQualityRounds.commit, (roundId, seat, bytes32(seed | 1))),
            "a seat committed twice"
        );
    }

    /// @dev Strangers at every door of a node, and at the one that only the rounds contract may use.
    function trespass(uint256 seed) external {
        vm.assume(seed % 8 == 0);
        uint32 nodeId = uint32(1 + _pick(seed, "node", registrations));
        address stranger = address(0xBAD);
        address target = address(registry);
        _mustFail(stranger, target, abi.encodeCall(registry.exit, (nodeId)), "a stranger made a node leave");
        _mustFail(stranger, target, abi.encodeCall(registry.withdrawStake, (nodeId)), "a stranger took a stake");
        _mustFail(
            stranger, target, abi.encodeCall(registry.rotateOperator, (nodeId, stranger)), "a stranger took a node"
        );
        bytes memory panel = bytes.concat(bytes4(nodeId), bytes20(stranger), bytes4(0));
        _mustFail(
            stranger,
            target,
            abi.encodeCall(registry.concludeRound, (1, QA, 1, Outcome(panel, "", 0, 1, 0))),
            "a stranger slashed a node"
        );
        _mustFail(stranger, address(rounds), abi.encodeCall(rounds.withdraw, (stranger)), "a stranger was paid");
    }

    function withdrawStakeEarly(uint256 seed) external {
        vm.assume(seed % 8 == 0);
        uint32 nodeId = _node(seed, _leaving);
        _mustFail(
            _ownerOf(nodeId),
            address(registry),
            abi.encodeCall(registry.withdrawStake, (nodeId)),
            "a stake left before its delay"
        );
    }

    function _mustFail(address sender, address target, bytes memory call, string memory breach) private {
        vm.prank(sender);
        (bool success,) = target.call(call);
        if (success) _breach(breach);
    }

    function _notYetSettleable(uint256 roundId) private view returns (bool) {
        Game storage game = _games[roundId];
        return game.phase == Phase.DRAWN && game.committed != 0 && _valid(roundId) != 0 && !_settleable(roundId);
    }

    function _notYetCancellable(uint256 roundId) private view returns (bool) {
        Game storage game = _games[roundId];
        if (game.phase == Phase.OPEN) return block.number <= _opening(game).drawBlock + HASH_HORIZON;
        return game.phase == Phase.DRAWN && !_cancellable(roundId);
    }

    function _committed(uint256 roundId) private view returns (bool) {
        return _games[roundId].order.length > 0;
    }
}
