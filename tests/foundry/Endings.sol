// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {
    History,
    IQualityRounds,
    Opening,
    Phase,
    Reveals,
    RoundsParameters,
    Rule
} from "../../contracts/interfaces/IQualityRounds.sol";
import {Plain} from "./Plain.sol";
import {RoundActions} from "./RoundActions.sol";
import {Vm} from "./Test.sol";

/// @notice How rounds end, and what everybody is owed then.
abstract contract Endings is RoundActions {
    /// @dev A settlement in plain arithmetic.
    struct Settlement {
        uint256 roundId;
        uint256 included;
        address settler;
        uint256[] seats;
        Opening opening;
        History history;
        Reveals reveals;
        Plain.Result result;
        bytes deviations;
        uint256[] rewards; // of the seats, then of the batches
        uint256 refund;
    }

    /// @dev The last ending's round and call.
    uint256 internal _endedRound;
    bytes internal _endingCall;

    function settle(uint256 seed) external {
        Settlement memory s = _settlement(seed, _round(seed, _settleable));
        Game storage game = _games[s.roundId];
        bytes memory call = abi.encodeCall(IQualityRounds.settle, (s.roundId, s.history, s.reveals, s.result.submission));

        vm.recordLogs();
        _send(s.settler, call);
        Vm.Log[] memory logs = vm.getRecordedLogs();

        (_endedRound, _endingCall) = (s.roundId, call);
        _foldSettlement(s);
        _owe(s.settler, s.opening.terms.settlementFee);
        _owe(s.opening.requester, s.refund);
        for (uint256 k; k < s.seats.length; ++k) {
            uint32 nodeId = nodeIn(game.panel, s.seats[k]);
            ++verifiedReveals[nodeId];
            _owe(_ownerOf(nodeId), s.rewards[k]);
        }
        for (uint256 b; b < s.opening.batches.length; ++b) {
            _owe(s.opening.batches[b].owner, s.rewards[s.seats.length + b]);
        }
        game.paid = s.opening.terms.settlementFee;
        for (uint256 i; i < logs.length; ++i) {
            _hear(s, logs[i]);
        }
        _slashAbsent(game, s.included);
        _end(s.roundId);
    }

    function cancel(uint256 seed) external {
        uint256 roundId = _round(seed, _cancellable);
        Game storage game = _games[roundId];
        (History memory history,) = _history(roundId, 0);
        bytes memory call = abi.encodeCall(IQualityRounds.cancel, (roundId, history));

        _send(address(this), call);

        (_endedRound, _endingCall) = (roundId, call);
        uint256 excused = _count(game.committed) < game.quorum ? game.committed : game.revealed;
        _foldCancellation(game, game.revealed);
        _slashAbsent(game, excused);
        _end(roundId);
    }

    function cancelUndrawn(uint256 seed) external {
        uint256 roundId = _round(seed, _forgotten);
        Game storage game = _games[roundId];
        bytes memory call = abi.encodeCall(IQualityRounds.cancelUndrawn, (roundId, _opening(game)));

        _send(address(this), call);

        (_endedRound, _endingCall) = (roundId, call);
        _foldCancellation(game, 0);
        _end(roundId);
    }

    function withdraw(uint256 seed) external {
        vm.assume(accounts.length > 0);
        address account = accounts[_pick(seed, "account", accounts.length)];
        vm.assume(creditOf[account] > 0);
        uint256 held = token.balanceOf(account);
        uint256 amount = creditOf[account];
        creditOf[account] = 0;

        rounds.withdraw(account);

        if (token.balanceOf(account) != held + amount) _breach("a credit was paid out in another amount");
    }

    /* SETTLEMENTS */

    function _settlement(uint256 seed, uint256 roundId) internal view returns (Settlement memory s) {
        Game storage game = _games[roundId];
        s.roundId = roundId;
        s.included = _included(seed, roundId);
        s.settler = _pick(seed, "settler", 2) == 0 || game.oracle == address(0) ? address(this) : game.oracle;
        if (block.timestamp < _revealsCloseAt(game) && game.oracle != address(0)) s.settler = game.oracle;
        s.opening = _opening(game);
        uint256 n = _count(s.included);
        s.seats = new uint256[](n);
        s.reveals.seats = s.included;
        s.reveals.salts = new bytes32[](n);
        uint256[] memory trusts = new uint256[](n);
        uint256 k;
        for (uint256 seat; k < n; ++seat) {
            if (s.included >> seat & 1 == 0) continue;
            s.seats[k] = seat;
            s.reveals.salts[k] = saltOf(roundId, seat);
            s.reveals.scores = bytes.concat(s.reveals.scores, rowOf(roundId, seat));
            trusts[k++] = _drawnTrust(game.panel, seat);
        }
        s.result = Plain.aggregate(game.rule, s.opening.terms.trim, s.reveals.scores, game.items, trusts);
        s.deviations = Plain.deviations(s.reveals.scores, game.items, n, s.result.pivot);
        uint256[] memory committedAt;
        (s.history, committedAt) = _history(roundId, s.included);
        _reward(s, game, committedAt);
    }

    function _reward(Settlement memory s, Game storage game, uint256[] memory committedAt) private view {
        RoundsParameters memory p = _roundsParameters();
        uint256 n = s.seats.length;
        uint256 budget = s.opening.terms.evaluatorBudget;
        s.refund = budget + s.opening.terms.inferenceBudget;
        s.rewards = new uint256[](n + s.opening.batches.length);
        for (uint256 k; k < n; ++k) {
            uint256 elapsed = committedAt[s.seats[k]] - game.drawnAt;
            s.rewards[k] = Plain.seatReward(p, budget, game.panelSize, Plain.valueAt(s.deviations, k), elapsed);
        }
        uint256[] memory ofBatches =
            Plain.batchRewards(p, s.opening.terms.inferenceBudget, s.opening.batches, s.result.consensus);
        for (uint256 b; b < ofBatches.length; ++b) {
            s.rewards[n + b] = ofBatches[b];
        }
        for (uint256 i; i < s.rewards.length; ++i) {
            s.refund -= s.rewards[i];
        }
    }

    /// @dev The round's past, with the commitments of the seats that are not `included`; and when each seat committed.
    function _history(uint256 roundId, uint256 included)
        internal
        view
        returns (History memory history, uint256[] memory committedAt)
    {
        Game storage game = _games[roundId];
        committedAt = new uint256[](game.panelSize);
        history.opening = _opening(game);
        history.seed = game.seed;
        history.panel = game.panel;
        history.commits = game.commits;
        history.commitments = new bytes32[](_count(game.committed & ~included));
        uint256 taken;
        for (uint256 place; place < game.order.length; ++place) {
            uint256 seat = game.order[place];
            committedAt[seat] = _committedAt(game, place);
            if (included >> seat & 1 == 0) history.commitments[taken++] = _commitmentOf(roundId, seat);
        }
    }

    /// @dev All valid seats; after the reveal deadline, some of them may be left out.
    function _included(uint256 seed, uint256 roundId) private view returns (uint256 included) {
        Game storage game = _games[roundId];
        included = _valid(roundId);
        if (block.timestamp < _revealsCloseAt(game)) return included;
        for (uint256 seat; seat < game.panelSize; ++seat) {
            uint256 bit = 1 << seat;
            bool spare = included & bit & ~uint256(game.revealed) != 0 && _count(included) > game.quorum;
            if (spare && _pick(seed ^ seat, "omit", 3) == 0) included &= ~bit;
        }
    }

    function _foldSettlement(Settlement memory s) private {
        Game storage game = _games[s.roundId];
        _fold(
            game,
            keccak256(
                abi.encode(
                    IQualityRounds.RoundSettled.selector,
                    s.settler,
                    block.timestamp,
                    s.included,
                    game.revealed,
                    keccak256(s.reveals.scores),
                    keccak256(s.result.consensus),
                    keccak256(s.deviations),
                    keccak256(abi.encodePacked(s.rewards)),
                    s.refund
                )
            )
        );
    }

    /// @dev What the log of a settlement says of money and trust.
    function _hear(Settlement memory s, Vm.Log memory log) private {
        Game storage game = _games[s.roundId];
        if (log.topics[0] == IQualityRounds.RewardCredited.selector) {
            uint32 nodeId = uint32(uint256(log.topics[2]));
            (, uint256 amount) = abi.decode(log.data, (uint8, uint256));
            game.paid += amount;
            earnedBy[nodeId] += amount;
        } else if (log.topics[0] == IQualityRounds.RoundSettled.selector) {
            (,,,,,, uint256 refund) =
                abi.decode(log.data, (uint256, uint256, bytes32[], bytes, bytes, bytes, uint256));
            game.paid += refund;
        } else if (log.topics[0] == INodeRegistry.TrustUpdated.selector) {
            if (game.rule < Rule.TRUST_WEIGHTED_MEAN) _breach("trust moved in a round that does not weigh by it");
            bytes memory trusts = abi.decode(log.data, (bytes));
            if (trusts.length != 8 * s.seats.length) _breach("trust moved of more or fewer seats than revealed");
            for (uint256 k; k < s.seats.length; ++k) {
                uint32 nodeId = nodeIn(game.panel, s.seats[k]);
                uint256 entry = uint64(bytes8(_eight(trusts, k)));
                if (entry >> 32 != nodeId) _breach("the trust of a node moved that did not reveal");
                _learn(nodeId, s.opening.terms.domain, entry & type(uint32).max);
            }
        }
    }

    function _foldCancellation(Game storage game, uint256 revealed) private {
        address requester = _opening(game).requester;
        _owe(requester, game.deposit);
        game.paid = game.deposit;
        _fold(
            game,
            keccak256(abi.encode(IQualityRounds.RoundCancelled.selector, block.timestamp, revealed, game.deposit))
        );
    }

    function _slashAbsent(Game storage game, uint256 excused) private {
        for (uint256 seat; seat < game.panelSize; ++seat) {
            if (excused >> seat & 1 == 1) continue;
            bool committed = game.committed >> seat & 1 == 1;
            _slash(nodeIn(game.panel, seat), committed ? NO_REVEAL_SLASH : NO_COMMIT_SLASH);
        }
    }

    /// @dev A call that must succeed.
    function _send(address sender, bytes memory call) private {
        vm.prank(sender);
        (bool success, bytes memory reason) = address(rounds).call(call);
        assembly ("memory-safe") {
            if iszero(success) { revert(add(reason, 32), mload(reason)) }
        }
    }

    /* WHEN */

    function _settleable(uint256 roundId) internal view returns (bool) {
        Game storage game = _games[roundId];
        if (game.phase != Phase.DRAWN || _count(_valid(roundId)) < game.quorum) return false;
        if (block.timestamp >= _revealsCloseAt(game)) return true;
        return _commitsClosed(game) && _valid(roundId) == game.committed;
    }

    function _cancellable(uint256 roundId) internal view returns (bool) {
        Game storage game = _games[roundId];
        if (game.phase != Phase.DRAWN || !_commitsClosed(game)) return false;
        if (_count(game.committed) < game.quorum) return true;
        return block.timestamp >= _revealsCloseAt(game) + SETTLE_WINDOW && _count(game.revealed) < game.quorum;
    }

    function _forgotten(uint256 roundId) private view returns (bool) {
        Game storage game = _games[roundId];
        return game.phase == Phase.OPEN && block.number > _opening(game).drawBlock + HASH_HORIZON;
    }

    function _valid(uint256 roundId) internal view returns (uint256 seats) {
        Game storage game = _games[roundId];
        for (uint256 seat; seat < game.panelSize; ++seat) {
            if (game.committed >> seat & 1 == 1 && isValid(roundId, seat)) seats |= 1 << seat;
        }
    }

    function _drawnTrust(bytes memory panel, uint256 seat) private pure returns (uint256 trust) {
        for (uint256 i = 24; i < 28; ++i) {
            trust = trust << 8 | uint8(panel[28 * seat + i]);
        }
    }

    function _eight(bytes memory data, uint256 index) private pure returns (bytes8 result) {
        assembly ("memory-safe") {
            result := mload(add(add(data, 32), mul(8, index)))
        }
    }
}
