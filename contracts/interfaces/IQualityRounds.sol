// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, Role} from "./INodeRegistry.sol";

/// @notice How the scores of one item become its consensus. See `Consensus` for what is checked.
enum Rule {
    MEAN,
    MEDIAN,
    TRIMMED_MEAN,
    TRUST_WEIGHTED_MEAN,
    TRUST_WEIGHTED_MEDIAN
}

/// @notice Where a round stands. A closed round was settled or cancelled; its log says which.
enum Phase {
    NONE,
    OPEN,
    DRAWN,
    CLOSED
}

/// @notice What the requester fixes when opening a round.
struct Terms {
    bytes32 domain; //           the task domain, a short ASCII name padded with zeros on the right
    Rule rule;
    uint16 trim; //              share trimmed at each end, in ONE; zero unless the rule is TRIMMED_MEAN
    uint8 panelSize; //          K
    uint8 quorum; //             least number of revealed seats that can settle; more than half of K
    address oracle; //           alone may settle until the reveal deadline; zero: anybody may
    bytes32 workloadHash; //     SHA-256 of the workload file
    uint128 inferenceBudget;
    uint128 evaluatorBudget;
    uint128 settlementFee;
}

/// @notice Everything that opening a round fixed: the preimage of its first digest.
struct Opening {
    address requester;
    uint64 drawBlock;
    Terms terms;
    Batch[] batches;
    bytes32 uriHash; // keccak256 of the URI in `RoundOpened`
}

/// @notice A round's log up to the closing of its commits, to be checked against its digest.
struct History {
    Opening opening;
    bytes32 seed;
    bytes panel; //            as in `PanelDrawn`
    bytes commits; //          (uint8 seat, uint40 committedAt) packed, 6 bytes a commit, in the order of the log
    bytes32[] commitments; //  of the commits whose seats are not revealed in the same call, in the order of the log
}

/// @notice The revealed seats of a settlement.
struct Reveals {
    uint256 seats; //    bitmap: bit i is seat i
    bytes32[] salts; //  one a seat, ascending seats
    bytes scores; //     one row of T big-endian uint16 a seat, ascending seats, nothing between rows
}

/// @notice Shows that a commitment is part of the round's digest.
struct CommitProof {
    uint40 committedAt;
    bytes32 digestBefore; //   the digest that the commit was folded into
    bytes32[] stepsAfter; //   the steps of the later commits, in the order of the log
}

/// @notice What a deployment of the rounds contract fixes for good.
struct RoundsParameters {
    uint64 drawDelay; //             blocks between opening and the block whose hash is the draw's seed
    uint40 commitWindow; //          seconds from the draw in which seats may commit
    uint40 revealWindow; //          seconds after that in which seats may reveal on chain and the named oracle is alone
    uint40 settleWindow; //          seconds after that in which a round without quorum on chain can still be settled
    uint128 leastEvaluatorPay; //    wei a seat and item that an evaluator budget must at least hold
    uint16 qualityWeight; //         α, in ONE, at least 1
    uint16 costWeight; //            β, in ONE
    uint16 closenessScale; //        δ, the deviation at which closeness is zero, in ONE, at least 1
}

/// @title QualityRounds
/// @notice A round from open to withdraw: escrow, draw, commit, reveal, settle, cancel.
///
/// The oracle computes, the chain checks: `settle` brings every score and the consensus, and the contract verifies each
/// commitment, each consensus value, and computes each deviation and payout. A wrong settlement reverts, so anybody may settle.
///
/// A round is one word of storage, its digest: a hash chain over its log. Calls that need the round's past bring it as
/// calldata (`Opening`, `History`) and the contract checks it against the digest. While a round runs it keeps one more word
/// of state and one for each eight seats; both are cleared at the end.
///
/// Nobody owns this contract, nothing in it can be paused or changed.
interface IQualityRounds {
    /* EVENTS */

    /// @notice Emitted when a round is opened and paid for.
    event RoundOpened(
        uint256 indexed roundId,
        address indexed requester,
        uint64 drawBlock,
        Terms terms,
        Batch[] batches,
        string uri
    );
    /// @notice Emitted when the panel is drawn. `panel` is `(uint32 nodeId, address owner, uint32 trust)` packed, 28 bytes a seat.
    event PanelDrawn(uint256 indexed roundId, uint256 drawnAt, bytes32 seed, bytes panel);
    /// @notice Emitted when a seat commits.
    event ScoresCommitted(
        uint256 indexed roundId,
        uint256 indexed seat,
        uint32 indexed nodeId,
        uint256 committedAt,
        bytes32 commitment
    );
    /// @notice Emitted when a seat reveals on chain: no settlement can leave it out any more.
    event ScoresRevealed(
        uint256 indexed roundId, uint256 indexed seat, uint32 indexed nodeId, bytes32 salt, bytes scores
    );
    /// @notice Emitted when a round settles. `seats`, `salts`, `scores`: see `Reveals`. `consensus` is T big-endian
    /// uint16, `deviations` one big-endian uint16 for each revealed seat, from the pivot of the judged items. `settlementFee` goes to the settler, `refund` to the requester.
    event RoundSettled(
        uint256 indexed roundId,
        address indexed settler,
        uint256 settledAt,
        uint256 seats,
        bytes32[] salts,
        bytes scores,
        bytes consensus,
        bytes deviations,
        uint256 refund
    );
    /// @notice Emitted when a node earns `amount` in a round, credited to its owner `account`.
    event RewardCredited(
        uint256 indexed roundId, uint32 indexed nodeId, Role role, address indexed account, uint256 amount
    );
    /// @notice Emitted when a round is cancelled and its whole deposit credited to the requester.
    event RoundCancelled(
        uint256 indexed roundId, address indexed requester, uint256 cancelledAt, uint256 refund
    );
    /// @notice Emitted when an account withdraws its credit.
    event Withdrawn(address indexed account, uint256 amount);

    /* ERRORS */

    /// @notice Thrown when a constructor parameter makes no sense; `name` says which.
    error InvalidParameter(bytes32 name);
    /// @notice Thrown when a round is not in the phase that the call needs.
    error WrongPhase(uint256 roundId, Phase phase);

    /// @notice Thrown when the panel size is not in 3..31.
    error InvalidPanelSize(uint256 panelSize);
    /// @notice Thrown when the quorum is not in K/2+1..K.
    error InvalidQuorum(uint256 quorum, uint256 panelSize);
    /// @notice Thrown when the trim is half or more, or set for a rule that does not trim.
    error InvalidTrim(uint256 trim);
    /// @notice Thrown when a round has no batch or more than 32.
    error InvalidBatchCount(uint256 count);
    /// @notice Thrown when a batch has no items.
    error EmptyBatch(uint256 index);
    /// @notice Thrown when a batch's cost exceeds ONE.
    error CostAboveOne(uint256 index, uint256 cost);
    /// @notice Thrown when items and seats together exceed what one settlement can carry.
    error RoundTooLarge(uint256 items, uint256 panelSize);
    /// @notice Thrown when the evaluator budget is below the least pay.
    error EvaluatorBudgetTooSmall(uint256 budget, uint256 least);
    /// @notice Thrown when a token takes a fee on transfer.
    error TransferShortfall(uint256 received, uint256 expected);

    /// @notice Thrown when what the caller says of the round's past does not hash to its digest.
    error HistoryMismatch(bytes32 digest, bytes32 replayed);
    /// @notice Thrown when the draw comes before its block's hash is known.
    error DrawTooEarly(uint256 drawBlock);
    /// @notice Thrown when the draw comes after its block's hash is forgotten: the round can be cancelled.
    error DrawTooLate(uint256 drawBlock);

    /// @notice Thrown when a round that can still be drawn is to be cancelled as undrawn.
    error DrawPending(uint256 lastBlock);

    /// @notice Thrown when the round has no such seat.
    error UnknownSeat(uint256 seat);
    /// @notice Thrown when the caller is not the operator of the seat's node.
    error NotOperator(uint32 nodeId, address caller);
    /// @notice Thrown when a commitment is zero.
    error ZeroCommitment();
    /// @notice Thrown when a seat commits twice.
    error AlreadyCommitted(uint256 seat);
    /// @notice Thrown when the commit window is over.
    error CommitsClosed(uint256 closedAt);
    /// @notice Thrown when somebody may still commit.
    error CommitsOpen(uint256 closesAt);

    /// @notice Thrown when a seat that did not commit is to be revealed.
    error NotCommitted(uint256 seat);
    /// @notice Thrown when a seat reveals on chain twice.
    error AlreadyRevealed(uint256 seat);
    /// @notice Thrown when an on-chain reveal comes after its deadline.
    error RevealsClosed(uint256 closedAt);
    /// @notice Thrown when the bytes of a row, of all rows or of the consensus are not as many as the round needs.
    error WrongLength(uint256 length, uint256 expected);
    /// @notice Thrown when a revealed score exceeds ONE.
    error ScoreAboveOne();

    /// @notice Thrown when somebody other than the round's oracle settles before the reveal deadline.
    error OracleOnly(address oracle, uint256 until);
    /// @notice Thrown when a settlement leaves out a seat that it has to include.
    error SeatMissing(uint256 seat);
    /// @notice Thrown when fewer seats than the quorum are revealed.
    error QuorumMissing(uint256 revealed, uint256 quorum);
    /// @notice Thrown when the consensus of an item from `firstItem` to the fifteenth after it is wrong.
    error WrongConsensus(uint256 firstItem);
    /// @notice Thrown when a round cannot be cancelled yet, or not at all while `revealed` seats suffice to settle it.
    error NotCancellable(uint256 revealed, uint256 cancellableAt);
    /// @notice Thrown when an account has no credit.
    error NothingDue();

    /* ROUNDS */

    /// @notice Opens a round and escrows `inferenceBudget + evaluatorBudget + settlementFee` from the caller.
    /// @param receipts One a batch, signed by the node's operator: see `INodeRegistry.checkReceipts`.
    /// @param uri Where the workload file can be fetched.
    function open(Terms calldata terms, Batch[] calldata batches, bytes[] calldata receipts, string calldata uri)
        external
        returns (uint256 roundId);

    /// @notice Draws the panel from the hash of the draw block. Anybody may call, within 256 blocks of it.
    function draw(uint256 roundId, Opening calldata opening) external;

    /// @notice Records a seat's commitment and the time. Only the operator of the seat's node.
    function commit(uint256 roundId, uint256 seat, bytes32 commitment_) external;

    /// @notice Reveals a seat on chain once commits are closed. The commitment authenticates, so anybody who knows the salt may call.
    function reveal(
        uint256 roundId,
        uint256 seat,
        CommitProof calldata proof,
        bytes32 salt,
        bytes calldata scores
    ) external;

    /// @notice Verifies the oracle's consensus, credits rewards, fee and refund, moves trust if the rule
    /// weighs by it, slashes the absent, ends the round.
    /// @dev Allowed once commits are closed and every committed seat is revealed; after the reveal deadline with at least
    /// `quorum` seats. Always includes the seats revealed on chain.
    /// @param consensus What the rule needs, per item a big-endian uint16: the consensus itself; or, where a trimmed mean keeps
    /// more than one score, the least score kept for all items and then the greatest; or, for a weighted mean, which the
    /// contract computes itself, the weighted median of the judged items: all of them up to 128, else the sample that the
    /// salts decide, see `Judged`.
    function settle(
        uint256 roundId,
        History calldata history,
        Reveals calldata reveals,
        bytes calldata consensus
    ) external;

    /// @notice Cancels a round that was not drawn in time. The requester is refunded.
    function cancelUndrawn(uint256 roundId, Opening calldata opening) external;

    /// @notice Cancels a drawn round without quorum: at the close of commits if fewer than the quorum committed, else when the settle
    /// window has passed and fewer than the quorum revealed on chain. The requester is refunded, absent seats are slashed.
    function cancel(uint256 roundId, History calldata history) external;

    /// @notice Pays the credit of `account` to it. Anybody may call.
    function withdraw(address account) external;

    /* VIEWS */

    /// @notice The number of rounds ever opened; ids run from 1 to this.
    function roundCount() external view returns (uint256);

    /// @notice The digest of a round's log: final once the round is closed.
    function digestOf(uint256 roundId) external view returns (bytes32);

    /// @notice Where a round stands.
    function phaseOf(uint256 roundId) external view returns (Phase);

    /// @notice What a running round keeps: draw block, time of the draw (0 before it), items, seats, and the bitmaps of the
    /// seats that committed and that revealed on chain. All zero for a closed round.
    function stateOf(uint256 roundId)
        external
        view
        returns (
            uint64 drawBlock,
            uint40 drawnAt,
            uint16 items,
            uint8 panelSize,
            uint32 committed,
            uint32 revealed
        );

    /// @notice The node in a seat of a running round, 0 if there is none.
    function seatOf(uint256 roundId, uint256 seat) external view returns (uint32 nodeId);

    /// @notice What `account` can withdraw.
    function creditOf(address account) external view returns (uint256);

    /// @notice The hash that a seat commits to:
    /// keccak256(chainId ‖ contract ‖ roundId ‖ nodeId ‖ salt ‖ scores), the first five as 32-byte words.
    function commitment(uint256 roundId, uint32 nodeId, bytes32 salt, bytes calldata scores)
        external
        view
        returns (bytes32);

    /// @notice The parameters of this deployment.
    function parameters() external view returns (RoundsParameters memory);
}
