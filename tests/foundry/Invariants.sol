// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Node, Role} from "../../contracts/interfaces/INodeRegistry.sol";
import {Phase} from "../../contracts/interfaces/IQualityRounds.sol";
import {TRUST_ONE} from "../../contracts/libraries/Units.sol";
import {Handler} from "./Handler.sol";

/// @notice What holds of both contracts after every action. Each claim is a function that reverts with what is broken; `check` goes through
/// all of them, in one pass over nodes, rounds and accounts so that a campaign can afford it after every call.
contract Invariants is Handler {
    /// @notice Reverts if an invariant is broken.
    function check() external view {
        _idsAreDense();
        _nothingForbiddenHappened();
        uint256 stakes;
        for (uint32 id = 1; id <= registrations; ++id) {
            Node memory node = registry.nodeOf(id);
            stakes += node.stake;
            _slashesHitOnlyTheAbsent(id, node);
            _nobodyEarnsWithoutAVerifiedReveal(id, node);
            _theListHoldsTheActiveEvaluators(id, node);
            _trustStaysInBoundsAndMovesInSettlements(id, QA);
            _trustStaysInBoundsAndMovesInSettlements(id, SUMMARIES);
        }
        _theListIsNoLonger();
        _theRegistryHoldsAllStakesAndSlashes(stakes);
        for (uint256 id = 1; id <= openings; ++id) {
            Game storage game = _games[id];
            _phasesOnlyMoveForwardToOneEnd(id, game);
            _aRoundPaysItsDeposit(game);
            _digestsAreFoldedFromTheLog(id, game);
        }
        for (uint256 i; i < _live.length; ++i) {
            _runningRoundsKeepTheirSeats(_live[i], _games[_live[i]]);
        }
        _theLastClosedRoundLeavesNothing();
        uint256 credits;
        for (uint256 i; i < accounts.length; ++i) {
            credits += _creditsAreThoseOfThePlainArithmetic(accounts[i]);
        }
        _theRoundsHoldAllCreditsAndEscrows(credits);
    }

    /* MONEY */

    /// @dev Nobody sends tokens unasked here, so what must suffice is exact.
    function _theRoundsHoldAllCreditsAndEscrows(uint256 credits) private view {
        require(token.balanceOf(address(rounds)) == credits + escrowed, "the rounds hold more or less than they owe");
    }

    function _creditsAreThoseOfThePlainArithmetic(address account) private view returns (uint256 credit) {
        credit = rounds.creditOf(account);
        require(credit == creditOf[account], "a credit differs from the plain arithmetic");
    }

    function _aRoundPaysItsDeposit(Game storage game) private view {
        uint256 expected = game.phase == Phase.CLOSED ? game.deposit : 0;
        require(game.paid == expected, "rewards, fee and refund are not the deposit");
    }

    function _nobodyEarnsWithoutAVerifiedReveal(uint32 id, Node memory node) private view {
        bool mayEarn = node.role == Role.INFERENCE || verifiedReveals[id] > 0;
        require(mayEarn || earnedBy[id] == 0, "an evaluator earned without a reveal");
    }

    function _theRegistryHoldsAllStakesAndSlashes(uint256 stakes) private view {
        uint256 waiting = registry.slashedBalance();
        require(token.balanceOf(address(registry)) == stakes + waiting, "stakes and slashes are not what is held");
        require(waiting == slashed - swept && token.balanceOf(SINK) == swept, "slashed stake went elsewhere");
    }

    function _slashesHitOnlyTheAbsent(uint32 id, Node memory node) private view {
        require(node.stake == stakeOf[id], "a stake is not what absences left of it");
    }

    /* ROUNDS */

    function _nothingForbiddenHappened() private view {
        if (breaches.length > 0) revert(breaches[0]);
    }

    /// @dev As the model's do. `endAgain` tries to end rounds a second time.
    function _phasesOnlyMoveForwardToOneEnd(uint256 id, Game storage game) private view {
        require(rounds.phaseOf(id) == game.phase, "a round is in another phase than its log");
    }

    /// @dev So it changes only as the log grows, and never after the end.
    function _digestsAreFoldedFromTheLog(uint256 id, Game storage game) private view {
        require(rounds.digestOf(id) == game.digest, "a digest is not that of its log");
    }

    function _idsAreDense() private view {
        require(rounds.roundCount() == openings && rounds.digestOf(openings + 1) == 0, "round ids have gaps");
        require(registry.nodeCount() == registrations, "node ids have gaps");
        require(registry.nodeOf(registrations + 1).owner == address(0), "there is a node past the last");
    }

    function _runningRoundsKeepTheirSeats(uint256 id, Game storage game) private view {
        (, uint40 drawnAt, uint16 items, uint8 size, uint32 committed, uint32 revealed) = rounds.stateOf(id);
        require(items == game.items && size == game.panelSize && drawnAt == game.drawnAt, "a running round's terms changed");
        require(committed == game.committed && revealed == game.revealed, "a seat's standing changed");
        require(revealed & ~committed == 0, "a seat revealed what it never committed");
        bytes memory panel = game.panel;
        for (uint256 seat; 28 * seat < panel.length; ++seat) {
            require(rounds.seatOf(id, seat) == nodeIn(panel, seat), "a seat changed hands");
        }
    }

    function _theLastClosedRoundLeavesNothing() private view {
        (uint64 drawBlock, uint40 drawnAt, uint16 items, uint8 size, uint32 committed,) = rounds.stateOf(_endedRound);
        require(drawBlock == 0 && drawnAt == 0 && items == 0 && size == 0 && committed == 0, "a closed round left its state");
        require(rounds.seatOf(_endedRound, 0) == 0, "a closed round left its seats");
    }

    /* NODES */

    function _trustStaysInBoundsAndMovesInSettlements(uint32 id, bytes32 domain) private view {
        uint256 trust = registry.trustOf(id, domain);
        require(trust >= TRUST_FLOOR && trust <= TRUST_ONE, "trust is out of bounds");
        require(trust == trustOf(id, domain), "trust moved outside a settlement");
    }

    function _theListHoldsTheActiveEvaluators(uint32 id, Node memory node) private view {
        require((node.position != 0) == listed[id], "the list and the active evaluators differ");
        if (node.position == 0) return;
        require(registry.evaluatorAt(node.position - 1, block.number) == id, "a place of the list holds another node");
    }

    function _theListIsNoLonger() private view {
        require(registry.populationAt(block.number) == population, "the list is longer or shorter");
    }
}
