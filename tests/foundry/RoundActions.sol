// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, Role} from "../../contracts/interfaces/INodeRegistry.sol";
import {CommitProof, IQualityRounds, Opening, Phase, Rule, Terms} from "../../contracts/interfaces/IQualityRounds.sol";
import {NodeActions} from "./NodeActions.sol";

/// @notice A round up to its end: open, draw, commit, reveal. The digest is folded here a second time, from what the log says.
abstract contract RoundActions is NodeActions {
    uint256 private constant MOST_LIVE = 4;
    address internal constant ORACLE = address(0x0AC1E);

    /* OPEN AND DRAW */

    function open(uint256 seed) external {
        vm.assume(_live.length < MOST_LIVE);
        Opening memory opening;
        opening.requester = _owner(_pick(seed, "requester", OWNERS));
        opening.drawBlock = uint64(block.number) + DRAW_DELAY;
        opening.batches = _batches(seed);
        uint256 items;
        for (uint256 i; i < opening.batches.length; ++i) {
            items += opening.batches[i].items;
        }
        opening.terms = _terms(seed, items);
        opening.uriHash = keccak256("file:///workload");

        uint256 roundId = ++openings;
        Game storage game = _games[roundId];
        game.phase = Phase.OPEN;
        game.rule = opening.terms.rule;
        game.items = uint16(items);
        game.panelSize = opening.terms.panelSize;
        game.quorum = opening.terms.quorum;
        game.oracle = opening.terms.oracle;
        game.deposit =
            uint256(opening.terms.inferenceBudget) + opening.terms.evaluatorBudget + opening.terms.settlementFee;
        game.opening = abi.encode(opening);
        game.digest = keccak256(abi.encode(block.chainid, address(rounds), roundId, opening));
        escrowed += game.deposit;
        _live.push(roundId);
        _account(opening.requester);

        _fund(opening.requester, address(rounds), game.deposit);
        bytes[] memory receipts = _receipts(opening);
        vm.prank(opening.requester);
        uint256 given = rounds.open(opening.terms, opening.batches, receipts, "file:///workload");
        if (given != roundId) _breach("a round got another id than the next");
    }

    function draw(uint256 seed) external {
        uint256 roundId = _round(seed, _drawable);
        Game storage game = _games[roundId];
        Opening memory opening = _opening(game);
        if (_eligible(opening) < game.panelSize) {
            try rounds.draw(roundId, opening) {
                _breach("a panel was drawn from too few evaluators");
            } catch {}
            return;
        }

        rounds.draw(roundId, opening);

        game.phase = Phase.DRAWN;
        game.drawnAt = uint40(block.timestamp);
        game.seed = keccak256(abi.encode(blockhash(opening.drawBlock), address(rounds), roundId));
        for (uint256 seat; seat < game.panelSize; ++seat) {
            uint32 nodeId = rounds.seatOf(roundId, seat);
            if (!_mayBeSeated(nodeId, seat, game.panel, opening)) _breach("a seat went to a node that may not have it");
            uint32 trust = uint32(trustOf(nodeId, opening.terms.domain));
            game.panel = bytes.concat(game.panel, bytes4(nodeId), bytes20(_ownerOf(nodeId)), bytes4(trust));
        }
        _fold(
            game,
            keccak256(abi.encode(IQualityRounds.PanelDrawn.selector, block.timestamp, game.seed, keccak256(game.panel)))
        );
    }

    /* COMMIT AND REVEAL */

    /// @dev Some of the seats that have not committed.
    function commit(uint256 seed) external {
        uint256 roundId = _round(seed, _committable);
        Game storage game = _games[roundId];
        uint256 missing = ((1 << game.panelSize) - 1) & ~uint256(game.committed);
        uint256 chosen = missing & (_pick(seed, "seats", 1 << game.panelSize) | _pick(seed, "more", 1 << game.panelSize));
        for (uint256 seat; seat < game.panelSize; ++seat) {
            if (chosen >> seat & 1 == 1) _commit(roundId, seat);
        }
    }

    function reveal(uint256 seed) external {
        uint256 roundId = _round(seed, _revealable);
        Game storage game = _games[roundId];
        uint256 seat = _pick(seed, "seat", game.panelSize);
        while (!_canReveal(roundId, seat)) {
            seat = (seat + 1) % game.panelSize;
        }
        game.revealed |= uint32(1 << seat);

        rounds.reveal(roundId, seat, _proof(game, seat), saltOf(roundId, seat), rowOf(roundId, seat));
    }

    function _commit(uint256 roundId, uint256 seat) private {
        Game storage game = _games[roundId];
        uint32 nodeId = nodeIn(game.panel, seat);
        bytes32 commitment = _commitmentOf(roundId, seat);
        bytes32 step =
            keccak256(abi.encode(IQualityRounds.ScoresCommitted.selector, seat, block.timestamp, commitment));
        game.committed |= uint32(1 << seat);
        game.before.push(game.digest);
        game.steps.push(step);
        game.order.push(uint8(seat));
        game.commits = bytes.concat(game.commits, bytes1(uint8(seat)), bytes5(uint40(block.timestamp)));
        _fold(game, step);

        vm.prank(vm.addr(operatorKeyOf[nodeId]));
        rounds.commit(roundId, seat, commitment);
    }

    function _commitmentOf(uint256 roundId, uint256 seat) internal view returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(block.chainid, address(rounds), roundId, nodeIn(_games[roundId].panel, seat)),
                saltOf(roundId, seat),
                rowOf(roundId, seat)
            )
        );
    }

    function _proof(Game storage game, uint256 seat) internal view returns (CommitProof memory proof) {
        uint256 place;
        while (game.order[place] != seat) ++place;
        proof.committedAt = _committedAt(game, place);
        proof.digestBefore = game.before[place];
        proof.stepsAfter = new bytes32[](game.steps.length - place - 1);
        for (uint256 i; i < proof.stepsAfter.length; ++i) {
            proof.stepsAfter[i] = game.steps[place + 1 + i];
        }
    }

    /// @dev Of the commit at this place in the log.
    function _committedAt(Game storage game, uint256 place) internal view returns (uint40 time) {
        bytes memory commits = game.commits;
        for (uint256 i = 1; i < 6; ++i) {
            time = time << 8 | uint8(commits[6 * place + i]);
        }
    }

    /* TERMS */

    function _terms(uint256 seed, uint256 items) private pure returns (Terms memory terms) {
        terms.domain = _pick(seed, "domain", 2) == 0 ? QA : SUMMARIES;
        terms.rule = Rule(_pick(seed, "rule", 5));
        if (terms.rule == Rule.TRIMMED_MEAN) terms.trim = uint16(_pick(seed, "trim", 5_000));
        terms.panelSize = uint8(3 + _pick(seed, "size", 4));
        terms.quorum = uint8(terms.panelSize / 2 + 1 + _pick(seed, "quorum", (terms.panelSize + 1) / 2));
        if (_pick(seed, "oracle", 2) == 0) terms.oracle = ORACLE;
        terms.workloadHash = keccak256(abi.encode(seed));
        terms.inferenceBudget = uint128(_pick(seed, "inference", 1e24));
        terms.evaluatorBudget = uint128(terms.panelSize * items + _pick(seed, "evaluators", 1e24));
        terms.settlementFee = uint128(_pick(seed, "fee", 1e21));
    }

    function _batches(uint256 seed) private view returns (Batch[] memory batches) {
        batches = new Batch[](1 + _pick(seed, "batches", 3));
        for (uint256 i; i < batches.length; ++i) {
            uint32 nodeId = _node(seed ^ i, _serving);
            batches[i] = Batch({
                nodeId: nodeId,
                owner: _ownerOf(nodeId),
                items: uint16(1 + _pick(seed ^ i, "items", 8)),
                cost: uint16(_pick(seed ^ i, "cost", 10_001)),
                outputsHash: keccak256(abi.encode(seed, i))
            });
        }
    }

    function _receipts(Opening memory opening) private view returns (bytes[] memory receipts) {
        receipts = new bytes[](opening.batches.length);
        for (uint256 i; i < receipts.length; ++i) {
            Batch memory batch = opening.batches[i];
            bytes32 digest = registry.receiptDigest(batch, opening.requester, opening.terms.workloadHash);
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(operatorKeyOf[batch.nodeId], digest);
            receipts[i] = bytes.concat(r, s, bytes1(v));
        }
    }

    /* WHO AND WHEN */

    /// @dev A live round that `fits`, or the action is not possible now.
    function _round(uint256 seed, function(uint256) view returns (bool) fits) internal view returns (uint256 roundId) {
        vm.assume(_live.length > 0);
        uint256 start = _pick(seed, "round", _live.length);
        for (uint256 i; i < _live.length; ++i) {
            roundId = _live[(start + i) % _live.length];
            if (fits(roundId)) return roundId;
        }
        vm.assume(false);
    }

    function _serving(uint32 nodeId) private view returns (bool) {
        return _staying(nodeId) && registry.nodeOf(nodeId).role == Role.INFERENCE;
    }

    function _drawable(uint256 roundId) private view returns (bool) {
        Game storage game = _games[roundId];
        if (game.phase != Phase.OPEN) return false;
        uint256 drawBlock = _opening(game).drawBlock;
        return block.number > drawBlock && block.number <= drawBlock + HASH_HORIZON;
    }

    function _committable(uint256 roundId) private view returns (bool) {
        Game storage game = _games[roundId];
        return game.phase == Phase.DRAWN && !_commitsClosed(game);
    }

    function _revealable(uint256 roundId) private view returns (bool) {
        Game storage game = _games[roundId];
        if (game.phase != Phase.DRAWN || !_commitsClosed(game)) return false;
        if (block.timestamp >= _revealsCloseAt(game)) return false;
        for (uint256 seat; seat < game.panelSize; ++seat) {
            if (_canReveal(roundId, seat)) return true;
        }
        return false;
    }

    function _canReveal(uint256 roundId, uint256 seat) private view returns (bool) {
        Game storage game = _games[roundId];
        return (game.committed & ~game.revealed) >> seat & 1 == 1 && isValid(roundId, seat);
    }

    /// @dev How many evaluators could be seated, from the list as it was before the round was opened.
    function _eligible(Opening memory opening) private view returns (uint256 count) {
        uint256 atBlock = opening.drawBlock - DRAW_DELAY - 1;
        uint256 size = registry.populationAt(atBlock);
        for (uint256 i; i < size; ++i) {
            if (!_ownsBatch(_ownerOf(registry.evaluatorAt(i, atBlock)), opening)) ++count;
        }
    }

    function _mayBeSeated(uint32 nodeId, uint256 seat, bytes memory panel, Opening memory opening)
        private
        view
        returns (bool)
    {
        if (nodeId == 0 || nodeId > registrations || registry.nodeOf(nodeId).role != Role.EVALUATOR) return false;
        for (uint256 other; other < seat; ++other) {
            if (nodeIn(panel, other) == nodeId) return false;
        }
        return !_ownsBatch(_ownerOf(nodeId), opening);
    }

    function _ownsBatch(address owner, Opening memory opening) private pure returns (bool) {
        for (uint256 i; i < opening.batches.length; ++i) {
            if (opening.batches[i].owner == owner) return true;
        }
        return false;
    }
}
