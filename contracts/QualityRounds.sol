// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Batch, INodeRegistry, Outcome, Role, Seat} from "./interfaces/INodeRegistry.sol";
import {
    CommitProof,
    History,
    IQualityRounds,
    Opening,
    Phase,
    Reveals,
    RoundsParameters,
    Rule,
    Terms
} from "./interfaces/IQualityRounds.sol";
import {Consensus} from "./libraries/Consensus.sol";
import {Judged} from "./libraries/Judged.sol";
import {Rewards} from "./libraries/Rewards.sol";
import {ScoreLanes} from "./libraries/ScoreLanes.sol";
import {MAX_BATCHES, MAX_ITEMS, MAX_ROUND_BYTES, MAX_SEATS, MIN_SEATS, ONE, WEIGHT_UNIT} from "./libraries/Units.sol";

/// @title QualityRounds
/// @notice See `IQualityRounds`, which holds all the words, and docs/protocol.md.
contract QualityRounds is IQualityRounds {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using ScoreLanes for bytes;
    using ScoreLanes for bytes32[5];

    /// @dev One word of a running round; deleted when it ends.
    struct State {
        uint64 drawBlock;
        uint40 drawnAt;
        uint16 items;
        uint8 panelSize;
        uint32 committed; // bitmap of seats
        uint32 revealed; //  bitmap of seats, on chain
    }

    /// @dev Blocks whose hash the chain remembers.
    uint256 private constant HASH_HORIZON = 256;
    /// @dev Seconds a block may take on the slowest chain that the exit delay is safe for.
    uint256 private constant SLOWEST_BLOCK = 60;
    uint256 private constant PANEL_ENTRY = 28;
    uint256 private constant COMMIT_ENTRY = 6;

    IERC20 public immutable TOKEN;
    INodeRegistry public immutable REGISTRY;

    uint64 private immutable DRAW_DELAY;
    uint40 private immutable COMMIT_WINDOW;
    uint40 private immutable REVEAL_WINDOW;
    uint40 private immutable SETTLE_WINDOW;
    uint128 private immutable LEAST_EVALUATOR_PAY;
    uint16 private immutable QUALITY_WEIGHT;
    uint16 private immutable COST_WEIGHT;
    uint16 private immutable CLOSENESS_SCALE;

    uint256 public roundCount;

    mapping(uint256 roundId => bytes32) public digestOf;
    mapping(address account => uint256) public creditOf;

    mapping(uint256 roundId => State) private _states;
    /// @dev Eight node ids a word, seat i in lane i % 8 of word i / 8; deleted when the round ends.
    mapping(uint256 roundId => mapping(uint256 index => uint256)) private _seats;

    constructor(IERC20 token, INodeRegistry registry, RoundsParameters memory p) {
        require(address(token) != address(0), InvalidParameter("token"));
        require(p.commitWindow > 0, InvalidParameter("commitWindow"));
        require(p.revealWindow > 0, InvalidParameter("revealWindow"));
        require(p.settleWindow > 0, InvalidParameter("settleWindow"));
        require(p.qualityWeight > 0 && p.qualityWeight <= ONE, InvalidParameter("qualityWeight"));
        require(p.costWeight <= ONE, InvalidParameter("costWeight"));
        require(p.closenessScale > 0 && p.closenessScale <= ONE, InvalidParameter("closenessScale"));
        uint256 longest = uint256(p.commitWindow) + p.revealWindow + p.settleWindow
            + (HASH_HORIZON + p.drawDelay) * SLOWEST_BLOCK;
        require(registry.parameters().exitDelay >= longest, InvalidParameter("exitDelay"));

        TOKEN = token;
        REGISTRY = registry;
        DRAW_DELAY = p.drawDelay;
        COMMIT_WINDOW = p.commitWindow;
        REVEAL_WINDOW = p.revealWindow;
        SETTLE_WINDOW = p.settleWindow;
        LEAST_EVALUATOR_PAY = p.leastEvaluatorPay;
        QUALITY_WEIGHT = p.qualityWeight;
        COST_WEIGHT = p.costWeight;
        CLOSENESS_SCALE = p.closenessScale;
    }

    /* OPEN AND DRAW */

    /// @inheritdoc IQualityRounds
    function open(Terms calldata terms, Batch[] calldata batches, bytes[] calldata receipts, string calldata uri)
        external
        returns (uint256 roundId)
    {
        uint256 items = _checkBatches(batches);
        _checkTerms(terms, items);
        REGISTRY.checkReceipts(msg.sender, terms.workloadHash, batches, receipts);

        roundId = ++roundCount;
        uint64 drawBlock = (block.number + DRAW_DELAY).toUint64();
        digestOf[roundId] =
            _openingDigest(roundId, msg.sender, drawBlock, terms, batches, keccak256(bytes(uri)));
        // At most MAX_ITEMS items.
        _states[roundId] = State(drawBlock, 0, uint16(items), terms.panelSize, 0, 0);

        emit RoundOpened(roundId, msg.sender, drawBlock, terms, batches, uri);

        uint256 deposit = _deposit(terms);
        uint256 before = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(msg.sender, address(this), deposit);
        uint256 received = TOKEN.balanceOf(address(this)) - before;
        require(received == deposit, TransferShortfall(received, deposit));
    }

    /// @inheritdoc IQualityRounds
    function draw(uint256 roundId, Opening calldata opening) external {
        State storage state = _states[roundId];
        _requirePhase(roundId, Phase.OPEN);
        bytes32 digest = _checkOpening(roundId, opening);
        uint256 drawBlock = opening.drawBlock;
        require(block.number > drawBlock, DrawTooEarly(drawBlock));
        require(block.number <= drawBlock + HASH_HORIZON, DrawTooLate(drawBlock));

        bytes32 seed = keccak256(abi.encode(blockhash(drawBlock), address(this), roundId));
        address[] memory excluded = new address[](opening.batches.length);
        for (uint256 i; i < excluded.length; ++i) {
            excluded[i] = opening.batches[i].owner;
        }
        Seat[] memory seats = REGISTRY.drawPanel(
            seed, opening.terms.panelSize, drawBlock - DRAW_DELAY - 1, opening.terms.domain, excluded
        );

        bytes memory panel;
        uint256 word;
        for (uint256 i; i < seats.length; ++i) {
            Seat memory seat = seats[i];
            panel = bytes.concat(panel, bytes4(seat.nodeId), bytes20(seat.owner), bytes4(seat.trust));
            word |= uint256(seat.nodeId) << (i % 8 * 32);
            if (i % 8 == 7 || i + 1 == seats.length) (_seats[roundId][i / 8], word) = (word, 0);
        }
        state.drawnAt = block.timestamp.toUint40();
        digestOf[roundId] = _fold(digest, _drawnStep(block.timestamp, seed, panel));

        emit PanelDrawn(roundId, block.timestamp, seed, panel);
    }

    /* COMMIT AND REVEAL */

    /// @inheritdoc IQualityRounds
    function commit(uint256 roundId, uint256 seat, bytes32 commitment_) external {
        State storage state = _states[roundId];
        _requirePhase(roundId, Phase.DRAWN);
        require(commitment_ != 0, ZeroCommitment());
        uint256 closesAt = _commitsCloseAt(state);
        require(block.timestamp < closesAt, CommitsClosed(closesAt));
        uint32 nodeId = seatOf(roundId, seat);
        require(nodeId != 0, UnknownSeat(seat));
        uint256 committed = state.committed;
        require(committed >> seat & 1 == 0, AlreadyCommitted(seat));
        require(msg.sender == REGISTRY.operatorOf(nodeId), NotOperator(nodeId, msg.sender));

        // At most 31 seats.
        state.committed = uint32(committed | 1 << seat);
        digestOf[roundId] = _fold(digestOf[roundId], _commitStep(seat, block.timestamp, commitment_));

        emit ScoresCommitted(roundId, seat, nodeId, block.timestamp, commitment_);
    }

    /// @inheritdoc IQualityRounds
    function reveal(
        uint256 roundId,
        uint256 seat,
        CommitProof calldata proof,
        bytes32 salt,
        bytes calldata scores
    ) external {
        State storage state = _states[roundId];
        _requirePhase(roundId, Phase.DRAWN);
        _requireCommitsClosed(state);
        uint256 closesAt = _revealsCloseAt(state);
        require(block.timestamp < closesAt, RevealsClosed(closesAt));
        uint32 nodeId = seatOf(roundId, seat);
        require(nodeId != 0, UnknownSeat(seat));
        require(uint256(state.committed) >> seat & 1 == 1, NotCommitted(seat));
        uint256 revealed = state.revealed;
        require(revealed >> seat & 1 == 0, AlreadyRevealed(seat));
        uint256 length = 2 * uint256(state.items);
        require(scores.length == length, WrongLength(scores.length, length));
        Consensus.checkScores(scores);

        bytes32 digest = _fold(
            proof.digestBefore,
            _commitStep(seat, proof.committedAt, commitment(roundId, nodeId, salt, scores))
        );
        for (uint256 i; i < proof.stepsAfter.length; ++i) {
            digest = _fold(digest, proof.stepsAfter[i]);
        }
        _requireDigest(roundId, digest);

        // At most 31 seats.
        state.revealed = uint32(revealed | 1 << seat);

        emit ScoresRevealed(roundId, seat, nodeId, salt, scores);
    }

    /* SETTLE AND CANCEL */

    /// @inheritdoc IQualityRounds
    function settle(
        uint256 roundId,
        History calldata history,
        Reveals calldata reveals,
        bytes calldata consensus
    ) external {
        _requirePhase(roundId, Phase.DRAWN);
        State memory state = _states[roundId];
        Terms calldata terms = history.opening.terms;
        uint256[] memory seats = _checkReveals(state, terms, reveals);
        (bytes32 digest, uint256[] memory committedAt) =
            _replay(roundId, state, history, _revealedCommitments(roundId, state, history.panel, seats, reveals));

        uint256[] memory judged = Judged.groups(state.items, reveals.salts);
        (bytes memory agreed, bytes memory pivot) = Consensus.verified(
            terms.rule, terms.trim, reveals.scores, state.items, _weights(history.panel, seats), consensus, judged
        );
        bytes memory rows = Judged.rows(reveals.scores, state.items, seats.length, judged);
        bytes memory deviations = Consensus.deviations(rows, Judged.count(state.items), seats.length, pivot);
        (uint256[] memory rewards, uint256 refund) =
            _rewards(state, history.opening, seats, committedAt, deviations, agreed);

        _close(roundId, state.panelSize);
        digestOf[roundId] = _fold(
            digest,
            keccak256(
                abi.encode(
                    RoundSettled.selector,
                    msg.sender,
                    block.timestamp,
                    reveals.seats,
                    state.revealed,
                    reveals.scores.hash(),
                    keccak256(agreed),
                    keccak256(deviations),
                    keccak256(abi.encodePacked(rewards)),
                    refund
                )
            )
        );
        creditOf[msg.sender] += terms.settlementFee;
        creditOf[history.opening.requester] += refund;

        emit RoundSettled(
            roundId,
            msg.sender,
            block.timestamp,
            reveals.seats,
            reveals.salts,
            reveals.scores,
            agreed,
            deviations,
            refund
        );
        _credit(roundId, history, seats, rewards);

        // A rule that does not weigh by trust gives no yardstick for it that a minority could not move.
        if (Consensus.weighs(terms.rule)) {
            bytes memory disagreements =
                Consensus.disagreements(rows, Judged.count(state.items), seats.length, pivot, deviations);
            _conclude(roundId, state, history, reveals.seats, reveals.seats, disagreements);
        } else {
            _conclude(roundId, state, history, 0, reveals.seats, "");
        }
    }

    /// @inheritdoc IQualityRounds
    function cancelUndrawn(uint256 roundId, Opening calldata opening) external {
        _requirePhase(roundId, Phase.OPEN);
        bytes32 digest = _checkOpening(roundId, opening);
        uint256 lastDraw = opening.drawBlock + HASH_HORIZON;
        require(block.number > lastDraw, DrawPending(lastDraw));

        _cancel(roundId, digest, opening, 0, 0);
    }

    /// @inheritdoc IQualityRounds
    function cancel(uint256 roundId, History calldata history) external {
        _requirePhase(roundId, Phase.DRAWN);
        State memory state = _states[roundId];
        _requireCommitsClosed(state);
        _checkPanel(state, history.panel);
        (bytes32 digest,) = _replay(roundId, state, history, new bytes32[](state.panelSize));
        Terms calldata terms = history.opening.terms;
        // A round with enough commits waits for its settlement; one with enough reveals on chain can always be settled.
        uint256 excused = state.committed;
        if (_count(state.committed) >= terms.quorum) {
            excused = state.revealed;
            uint256 cancellableAt = _revealsCloseAt(state) + SETTLE_WINDOW;
            require(
                block.timestamp >= cancellableAt && _count(excused) < terms.quorum,
                NotCancellable(_count(excused), cancellableAt)
            );
        }

        _cancel(roundId, digest, history.opening, state.revealed, state.panelSize);

        _conclude(roundId, state, history, 0, excused, "");
    }

    /// @inheritdoc IQualityRounds
    function withdraw(address account) external {
        uint256 amount = creditOf[account];
        require(amount > 0, NothingDue());

        creditOf[account] = 0;

        emit Withdrawn(account, amount);

        TOKEN.safeTransfer(account, amount);
    }

    /* VIEWS */

    /// @inheritdoc IQualityRounds
    function phaseOf(uint256 roundId) public view returns (Phase) {
        State storage state = _states[roundId];
        if (state.panelSize == 0) return digestOf[roundId] == 0 ? Phase.NONE : Phase.CLOSED;
        return state.drawnAt == 0 ? Phase.OPEN : Phase.DRAWN;
    }

    /// @inheritdoc IQualityRounds
    function stateOf(uint256 roundId) external view returns (uint64, uint40, uint16, uint8, uint32, uint32) {
        State memory s = _states[roundId];
        return (s.drawBlock, s.drawnAt, s.items, s.panelSize, s.committed, s.revealed);
    }

    /// @inheritdoc IQualityRounds
    function seatOf(uint256 roundId, uint256 seat) public view returns (uint32) {
        // One lane of 32 bits is what the cast keeps.
        return uint32(_seats[roundId][seat / 8] >> (seat % 8 * 32));
    }

    /// @inheritdoc IQualityRounds
    function commitment(uint256 roundId, uint32 nodeId, bytes32 salt, bytes calldata scores)
        public
        view
        returns (bytes32)
    {
        bytes32[5] memory header = [
            bytes32(block.chainid),
            bytes32(uint256(uint160(address(this)))),
            bytes32(roundId),
            bytes32(uint256(nodeId)),
            salt
        ];
        return header.hash(scores.pointer(), scores.length);
    }

    /// @inheritdoc IQualityRounds
    function parameters() public view returns (RoundsParameters memory) {
        return RoundsParameters({
            drawDelay: DRAW_DELAY,
            commitWindow: COMMIT_WINDOW,
            revealWindow: REVEAL_WINDOW,
            settleWindow: SETTLE_WINDOW,
            leastEvaluatorPay: LEAST_EVALUATOR_PAY,
            qualityWeight: QUALITY_WEIGHT,
            costWeight: COST_WEIGHT,
            closenessScale: CLOSENESS_SCALE
        });
    }

    /* CHECKS */

    /// @dev Returns the number of items.
    function _checkBatches(Batch[] calldata batches) private pure returns (uint256 items) {
        uint256 count = batches.length;
        require(count > 0 && count <= MAX_BATCHES, InvalidBatchCount(count));
        for (uint256 i; i < count; ++i) {
            require(batches[i].items > 0, EmptyBatch(i));
            require(batches[i].cost <= ONE, CostAboveOne(i, batches[i].cost));
            items += batches[i].items;
        }
    }

    function _checkTerms(Terms calldata terms, uint256 items) private view {
        uint256 size = terms.panelSize;
        require(size >= MIN_SEATS && size <= MAX_SEATS, InvalidPanelSize(size));
        require(2 * uint256(terms.quorum) > size && terms.quorum <= size, InvalidQuorum(terms.quorum, size));
        bool trims = terms.rule == Rule.TRIMMED_MEAN;
        require(trims ? 2 * uint256(terms.trim) < ONE : terms.trim == 0, InvalidTrim(terms.trim));
        require(items <= MAX_ITEMS && items * (2 * size + 4) <= MAX_ROUND_BYTES, RoundTooLarge(items, size));
        uint256 least = LEAST_EVALUATOR_PAY * size * items;
        require(terms.evaluatorBudget >= least, EvaluatorBudgetTooSmall(terms.evaluatorBudget, least));
    }

    /// @dev Checks that a settlement may happen now with these seats, and returns them in ascending order.
    function _checkReveals(State memory state, Terms calldata terms, Reveals calldata reveals)
        private
        view
        returns (uint256[] memory seats)
    {
        uint256 included = reveals.seats;
        uint256 deadline = _revealsCloseAt(state);
        uint256 due = state.revealed;
        if (block.timestamp < deadline) {
            _requireCommitsClosed(state);
            require(terms.oracle == address(0) || terms.oracle == msg.sender, OracleOnly(terms.oracle, deadline));
            due = state.committed;
        }
        uint256 surplus = included & ~uint256(state.committed);
        if (surplus != 0) revert NotCommitted(_lowest(surplus));
        uint256 missing = due & ~included;
        if (missing != 0) revert SeatMissing(_lowest(missing));
        uint256 n = _count(included);
        require(n >= terms.quorum, QuorumMissing(n, terms.quorum));
        require(reveals.salts.length == n, WrongLength(reveals.salts.length, n));
        uint256 length = 2 * n * state.items;
        require(reveals.scores.length == length, WrongLength(reveals.scores.length, length));

        seats = new uint256[](n);
        unchecked {
            uint256 k;
            for (uint256 seat; k < n; ++seat) {
                if (included >> seat & 1 == 1) seats[k++] = seat;
            }
        }
    }

    function _checkPanel(State memory state, bytes calldata panel) private pure {
        uint256 length = PANEL_ENTRY * state.panelSize;
        require(panel.length == length, WrongLength(panel.length, length));
    }

    function _checkOpening(uint256 roundId, Opening calldata opening) private view returns (bytes32 digest) {
        digest = _digestOf(roundId, opening);
        _requireDigest(roundId, digest);
    }

    function _digestOf(uint256 roundId, Opening calldata o) private view returns (bytes32) {
        return _openingDigest(roundId, o.requester, o.drawBlock, o.terms, o.batches, o.uriHash);
    }

    function _requireDigest(uint256 roundId, bytes32 digest) private view {
        require(digest == digestOf[roundId], HistoryMismatch(digestOf[roundId], digest));
    }

    function _requirePhase(uint256 roundId, Phase phase) private view {
        Phase actual = phaseOf(roundId);
        require(actual == phase, WrongPhase(roundId, actual));
    }

    /// @dev Once closed, nobody can commit any more.
    function _requireCommitsClosed(State memory state) private view {
        uint256 closesAt = _commitsCloseAt(state);
        require(
            block.timestamp >= closesAt || state.committed == (1 << state.panelSize) - 1, CommitsOpen(closesAt)
        );
    }

    /* DIGEST */

    /// @dev keccak256(abi.encode(chainId, contract, roundId, opening)), put together such that the opening need not be in memory: 128 is
    /// where the encoding of a dynamic tuple begins after four words.
    function _openingDigest(
        uint256 roundId,
        address requester,
        uint64 drawBlock,
        Terms calldata terms,
        Batch[] calldata batches,
        bytes32 uriHash
    ) private view returns (bytes32) {
        bytes memory head = abi.encode(block.chainid, address(this), roundId, uint256(128));
        return keccak256(bytes.concat(head, abi.encode(requester, drawBlock, terms, batches, uriHash)));
    }

    function _fold(bytes32 digest, bytes32 step) private pure returns (bytes32) {
        return Hashes.efficientKeccak256(digest, step);
    }

    function _drawnStep(uint256 drawnAt, bytes32 seed, bytes memory panel) private pure returns (bytes32) {
        return keccak256(abi.encode(PanelDrawn.selector, drawnAt, seed, keccak256(panel)));
    }

    function _commitStep(uint256 seat, uint256 committedAt, bytes32 commitment_) private pure returns (bytes32) {
        return keccak256(abi.encode(ScoresCommitted.selector, seat, committedAt, commitment_));
    }

    /// @dev Folds the history of a drawn round and compares it with the digest. Commitments are taken from `recomputed`, by seat, and
    /// where that is zero from the history.
    function _replay(
        uint256 roundId,
        State memory state,
        History calldata history,
        bytes32[] memory recomputed
    ) private view returns (bytes32 digest, uint256[] memory committedAt) {
        bytes calldata commits = history.commits;
        uint256 length = COMMIT_ENTRY * _count(state.committed);
        require(commits.length == length, WrongLength(commits.length, length));

        digest = _digestOf(roundId, history.opening);
        digest = _fold(digest, _drawnStep(state.drawnAt, history.seed, history.panel));
        committedAt = new uint256[](state.panelSize);
        uint256 committed = state.committed;
        uint256 taken;
        unchecked {
            uint256 place = commits.pointer();
            for (uint256 end = place + length; place < end; place += COMMIT_ENTRY) {
                uint256 entry = ScoreLanes.load(place) >> 208;
                uint256 seat = entry >> 40;
                require(committed >> seat & 1 == 1, NotCommitted(seat));
                require(committedAt[seat] == 0, AlreadyCommitted(seat));
                uint256 time = uint40(entry); // the other 40 bits of the entry
                committedAt[seat] = time;
                bytes32 commitment_ = recomputed[seat];
                if (commitment_ == 0) {
                    require(taken < history.commitments.length, WrongLength(history.commitments.length, taken + 1));
                    commitment_ = history.commitments[taken++];
                }
                digest = _fold(digest, _commitStep(seat, time, commitment_));
            }
        }
        _requireDigest(roundId, digest);
    }

    /// @dev By seat; zero for those not revealed.
    function _revealedCommitments(
        uint256 roundId,
        State memory state,
        bytes calldata panel,
        uint256[] memory seats,
        Reveals calldata reveals
    ) private view returns (bytes32[] memory result) {
        _checkPanel(state, panel);
        result = new bytes32[](state.panelSize);
        uint256 row = 2 * uint256(state.items);
        bytes32[5] memory header;
        header[0] = bytes32(block.chainid);
        header[1] = bytes32(uint256(uint160(address(this))));
        header[2] = bytes32(roundId);
        bytes32[] calldata salts = reveals.salts;
        uint256 n = seats.length;
        unchecked {
            uint256 place = panel.pointer();
            uint256 scores = reveals.scores.pointer();
            for (uint256 k; k < n; ++k) {
                uint256 seat = seats[k];
                header[3] = bytes32(uint256(_nodeIn(place, seat)));
                header[4] = salts[k];
                result[seat] = header.hash(scores, row);
                scores += row;
            }
        }
    }

    /* ENDING */

    /// @dev Of the seats, then of the batches; and what they and the fee leave to the requester.
    function _rewards(
        State memory state,
        Opening calldata opening,
        uint256[] memory seats,
        uint256[] memory committedAt,
        bytes memory deviations,
        bytes memory consensus
    ) private view returns (uint256[] memory rewards, uint256 refund) {
        RoundsParameters memory p = parameters();
        Batch[] calldata batches = opening.batches;
        uint256 n = seats.length;
        uint256 budget = opening.terms.evaluatorBudget;
        refund = budget + opening.terms.inferenceBudget;
        rewards = new uint256[](n + batches.length);
        uint256 drawnAt = state.drawnAt;
        uint256 size = state.panelSize;
        for (uint256 k; k < n; ++k) {
            uint256 elapsed = committedAt[seats[k]] - drawnAt;
            uint256 reward = Rewards.seat(p, budget, size, deviations.lane(k), elapsed);
            rewards[k] = reward;
            refund -= reward;
        }
        budget = opening.terms.inferenceBudget;
        uint256 start;
        for (uint256 i; i < batches.length; ++i) {
            uint256 cost = batches[i].cost;
            uint256 stop = start + batches[i].items;
            (uint256 count, uint256 sum) = Consensus.above(consensus, start, stop, Rewards.threshold(p, cost));
            uint256 reward = Rewards.batch(p, budget, state.items, cost, count, sum);
            rewards[n + i] = reward;
            refund -= reward;
            start = stop;
        }
    }

    function _credit(uint256 roundId, History calldata history, uint256[] memory seats, uint256[] memory rewards)
        private
    {
        uint256 n = seats.length;
        uint256 panel = history.panel.pointer();
        for (uint256 k; k < n; ++k) {
            uint256 entry = _entryIn(panel, seats[k]);
            // The parts of the entry, see `PanelDrawn`.
            _creditNode(roundId, entry >> 224, Role.EVALUATOR, address(uint160(entry >> 64)), rewards[k]);
        }
        Batch[] calldata batches = history.opening.batches;
        for (uint256 i; i < batches.length; ++i) {
            _creditNode(roundId, batches[i].nodeId, Role.INFERENCE, batches[i].owner, rewards[n + i]);
        }
    }

    /// @dev Assumes that `nodeId` is one.
    function _creditNode(uint256 roundId, uint256 nodeId, Role role, address owner, uint256 amount) private {
        if (amount == 0) return;
        creditOf[owner] += amount;

        emit RewardCredited(roundId, uint32(nodeId), role, owner, amount);
    }

    /// @dev Tells the registry of the seats that were `present`, with their disagreements, and of those that are not `excused`.
    function _conclude(
        uint256 roundId,
        State memory state,
        History calldata history,
        uint256 present,
        uint256 excused,
        bytes memory disagreements
    ) private {
        uint256 absent = ((1 << state.panelSize) - 1) & ~excused;
        REGISTRY.concludeRound(
            roundId,
            history.opening.terms.domain,
            Judged.count(state.items),
            Outcome(history.panel, disagreements, present, absent & ~uint256(state.committed), absent & state.committed)
        );
    }

    function _cancel(
        uint256 roundId,
        bytes32 digest,
        Opening calldata opening,
        uint256 revealed,
        uint256 panelSize
    ) private {
        uint256 refund = _deposit(opening.terms);

        _close(roundId, panelSize);
        digestOf[roundId] = _fold(
            digest, keccak256(abi.encode(RoundCancelled.selector, block.timestamp, revealed, refund))
        );
        creditOf[opening.requester] += refund;

        emit RoundCancelled(roundId, opening.requester, block.timestamp, refund);
    }

    function _close(uint256 roundId, uint256 seats) private {
        delete _states[roundId];
        for (uint256 i; i < seats; i += 8) {
            delete _seats[roundId][i / 8];
        }
    }

    /* INTERNAL */

    function _deposit(Terms calldata terms) private pure returns (uint256) {
        return uint256(terms.inferenceBudget) + terms.evaluatorBudget + terms.settlementFee;
    }

    function _commitsCloseAt(State memory state) private view returns (uint256) {
        return uint256(state.drawnAt) + COMMIT_WINDOW;
    }

    function _revealsCloseAt(State memory state) private view returns (uint256) {
        return _commitsCloseAt(state) + REVEAL_WINDOW;
    }

    /// @dev A seat's entry, see `PanelDrawn`, in the upper bits, where a panel begins at this place in calldata and has the seat.
    function _entryIn(uint256 panel, uint256 seat) private pure returns (uint256) {
        unchecked {
            return ScoreLanes.load(panel + seat * PANEL_ENTRY);
        }
    }

    function _nodeIn(uint256 panel, uint256 seat) private pure returns (uint32) {
        // The first 32 bits of the entry.
        return uint32(_entryIn(panel, seat) >> 224);
    }

    function _weights(bytes calldata panel, uint256[] memory seats) private pure returns (uint256[] memory weights) {
        uint256 n = seats.length;
        uint256 place = panel.pointer();
        weights = new uint256[](n);
        for (uint256 k; k < n; ++k) {
            // The last 32 of the entry's 224 bits.
            weights[k] = uint32(_entryIn(place, seats[k]) >> 32) / WEIGHT_UNIT;
        }
    }

    function _count(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }

    /// @dev The lowest seat of a bitmap; 0 if it is empty. Arguments of errors are computed even where nothing is wrong.
    function _lowest(uint256 bits) private pure returns (uint256) {
        unchecked {
            return Math.log2(bits & (~bits + 1));
        }
    }
}
