// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a node does. A node keeps its role for life.
enum Role {
    NONE,
    EVALUATOR,
    INFERENCE
}

/// @notice How a seat of a finished round behaved.
enum Conduct {
    PRESENT,
    NOT_COMMITTED,
    NOT_REVEALED
}

/// @notice A node as the registry stores it, two words.
struct Node {
    address owner; //      cold key: stake, payouts, exit. Never changes.
    Role role;
    uint32 position; //    one-based place in the list of active evaluators; 0 while not listed
    uint40 exitableAt; //  second from which the stake of a leaving node can be withdrawn; 0 while it has not left
    address operator; //   hot key: commits, receipts
    uint96 stake; //       wei of the token; below `STAKE` after a slash, until topped up
}

/// @notice The outputs of one inference node: consecutive items of the round.
struct Batch {
    uint32 nodeId;
    address owner; //         of the node: receives the reward, and none of its evaluators sits on the panel
    uint16 items;
    uint16 cost; //           normalised, in ONE; signed by the node in its receipt
    bytes32 outputsHash;
}

/// @notice A seat of a panel as drawn.
struct Seat {
    uint32 nodeId;
    address owner;
    uint32 trust; // in the round's domain, at the draw
}

/// @notice What the rounds contract reports of the seats of a finished round. Bitmaps: bit i is seat i.
struct Outcome {
    bytes panel; //          as in `IQualityRounds.PanelDrawn`
    bytes disagreements; //  one big-endian uint16 for each present seat, ascending, in ONE
    uint256 present; //      seats whose trust moves
    uint256 notCommitted; // seats to be slashed, and why
    uint256 notRevealed;
}

/// @notice How disagreement with the panel moves trust. See `Trust` for the rule.
struct TrustParameters {
    uint32 gain; //       λ_up, in ONE, up to MAX_RATE
    uint32 loss; //       λ_down, in ONE, up to MAX_RATE
    uint16 tolerance; //  τ_min, in ONE
    uint32 spread; //     ρ, in ONE, up to MAX_RATE
    uint16 evidence; //   E, items that count as full evidence
    uint32 floor; //      w_min, in TRUST_ONE, at least WEIGHT_UNIT, where a seat still weighs one
    uint32 cap; //        w_max, in TRUST_ONE: TRUST_ONE, more than which no weight has room
}

/// @notice What a deployment of the registry fixes for good.
struct RegistryParameters {
    uint96 stake; //          wei that every node stakes
    uint40 exitDelay; //      seconds between leaving and withdrawing
    uint96 noCommitSlash; //  wei taken from a drawn seat that did not commit
    uint96 noRevealSlash; //  wei taken from a committed seat that did not reveal
    address slashSink; //     where slashed stake goes
    TrustParameters trust;
}

/// @title NodeRegistry
/// @notice Identities, stakes and trust of the nodes.
///
/// A node stakes exactly one unit of an ERC-20, so that a uniform draw over identities is a stake-weighted draw over
/// capital. Trust is kept per node and domain, starts at TRUST_ONE, and moves only when a round settles.
///
/// Nobody owns this contract. The rounds contract alone may report a round's outcome; the worst that a faulty rounds
/// contract could do is to slash nodes by the fixed amounts, to the sink, and to move trust within its bounds.
interface INodeRegistry {
    /* EVENTS */

    /// @notice Emitted when a node registers with a full stake.
    event NodeRegistered(
        uint32 indexed nodeId, address indexed owner, Role role, address operator, uint256 stake
    );
    /// @notice Emitted when the owner replaces the operator.
    event OperatorRotated(uint32 indexed nodeId, address operator);
    /// @notice Emitted when a slashed stake is filled up to the unit again.
    event StakeToppedUp(uint32 indexed nodeId, address indexed payer, uint256 amount);
    /// @notice Emitted when a node leaves: no round opened in a later block draws it.
    event NodeExited(uint32 indexed nodeId, uint256 exitableAt);
    /// @notice Emitted when a node that left takes its stake back.
    event StakeWithdrawn(uint32 indexed nodeId, address indexed owner, uint256 amount);
    /// @notice Emitted when a seat of `roundId` is slashed.
    event Slashed(uint256 indexed roundId, uint32 indexed nodeId, Conduct conduct, uint256 amount);
    /// @notice Emitted once a settlement whose rule weighs by trust, with `(uint32 nodeId, uint32 trust)` packed for every present seat.
    event TrustUpdated(uint256 indexed roundId, bytes32 indexed domain, bytes trusts);
    /// @notice Emitted when the slashed stake collected so far is sent to the sink.
    event SlashesSwept(address indexed sink, uint256 amount);

    /* ERRORS */

    /// @notice Thrown when a role other than evaluator or inference registers.
    error InvalidRole();
    /// @notice Thrown when an operator is the zero address.
    error ZeroOperator();
    /// @notice Thrown when a constructor parameter makes no sense; `name` says which.
    error InvalidParameter(bytes32 name);
    /// @notice Thrown when no such node was ever registered.
    error UnknownNode(uint32 nodeId);
    /// @notice Thrown when the caller is not the node's owner.
    error NotOwner(uint32 nodeId, address caller);
    /// @notice Thrown when somebody other than the rounds contract reports an outcome.
    error NotRounds(address caller);
    /// @notice Thrown when a node that left is asked to leave, top up or rotate.
    error NodeLeft(uint32 nodeId);
    /// @notice Thrown when a node that has not left wants its stake back.
    error NodeNotLeft(uint32 nodeId);
    /// @notice Thrown when the stake is not withdrawable yet.
    error ExitDelayed(uint32 nodeId, uint256 exitableAt);
    /// @notice Thrown when there is nothing to top up, withdraw or sweep.
    error NothingDue();
    /// @notice Thrown when a token takes a fee on transfer.
    error TransferShortfall(uint256 received, uint256 expected);
    /// @notice Thrown when there are not as many receipts as batches.
    error ReceiptCountMismatch(uint256 receipts, uint256 batches);
    /// @notice Thrown when a batch names a node that is not an active inference node of that owner.
    error NotInferenceNode(uint32 nodeId, address owner);
    /// @notice Thrown when a receipt was not signed by the node's operator.
    error InvalidReceipt(uint32 nodeId);
    /// @notice Thrown when the draw finds fewer eligible evaluators than the panel has seats.
    error TooFewEvaluators(uint256 found, uint256 panelSize);

    /* NODES */

    /// @notice Stakes one unit and registers a node owned by the caller.
    /// @dev Pulls `STAKE` from the caller, who must have approved it. An evaluator is drawn from the next block on.
    function register(Role role, address operator) external returns (uint32 nodeId);

    /// @notice Replaces the operator of the caller's node, at once.
    function rotateOperator(uint32 nodeId, address operator) external;

    /// @notice Fills a slashed stake up to the unit; an evaluator becomes drawable again. Anybody may pay.
    function topUp(uint32 nodeId) external;

    /// @notice Leaves the network: rounds opened in later blocks do not draw the node; its stake stays slashable until
    /// `exitDelay` has passed.
    function exit(uint32 nodeId) external;

    /// @notice Pays what is left of the stake of a node that left to its owner. Only the owner may call.
    function withdrawStake(uint32 nodeId) external;

    /// @notice Sends all slashed stake to the sink. Anybody may call.
    function sweepSlashes() external;

    /* ROUNDS */

    /// @notice Reverts unless each batch belongs to an active inference node of its owner, and the node's operator signed the
    /// batch's receipt: by EIP-712, as an account or an EIP-1271 contract, over
    /// `Receipt(uint32 nodeId,address requester,bytes32 workloadHash,uint16 items,uint16 cost,bytes32 outputsHash)`.
    function checkReceipts(
        address requester,
        bytes32 workloadHash,
        Batch[] calldata batches,
        bytes[] calldata receipts
    ) external view;

    /// @notice The EIP-712 digest that an inference node signs as the receipt of `batch`.
    function receiptDigest(Batch calldata batch, address requester, bytes32 workloadHash)
        external
        view
        returns (bytes32);

    /// @notice Draws `size` distinct evaluators uniformly from those active at the end of block `atBlock`, passing over
    /// the nodes of `excluded` owners. See `Panel` for the procedure.
    function drawPanel(
        bytes32 seed,
        uint256 size,
        uint256 atBlock,
        bytes32 domain,
        address[] calldata excluded
    ) external view returns (Seat[] memory panel);

    /// @notice Reports the seats of a finished round: moves trust where `present` says so, slashes those that are to be.
    /// @dev Only the rounds contract. Slashing takes at most what is left, never reverts, and reaches leaving stakes.
    function concludeRound(uint256 roundId, bytes32 domain, uint256 items, Outcome calldata outcome) external;

    /* VIEWS */

    /// @notice The number of nodes ever registered; ids run from 1 to this.
    function nodeCount() external view returns (uint32);

    /// @notice The node as stored; all zero if it was never registered.
    function nodeOf(uint32 nodeId) external view returns (Node memory);

    /// @notice The node's current operator, zero if it was never registered.
    function operatorOf(uint32 nodeId) external view returns (address);

    /// @notice The node's trust in `domain`, in TRUST_ONE.
    function trustOf(uint32 nodeId, bytes32 domain) external view returns (uint32);

    /// @notice The number of active evaluators at the end of block `atBlock`.
    function populationAt(uint256 atBlock) external view returns (uint256);

    /// @notice The evaluator at a zero-based `position` of the active list at the end of block `atBlock`.
    function evaluatorAt(uint256 position, uint256 atBlock) external view returns (uint32);

    /// @notice The slashed stake that waits to be swept.
    function slashedBalance() external view returns (uint256);

    /// @notice The parameters of this deployment.
    function parameters() external view returns (RegistryParameters memory);
}
