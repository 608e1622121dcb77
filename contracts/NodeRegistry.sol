// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {
    Batch,
    Conduct,
    INodeRegistry,
    Node,
    Outcome,
    RegistryParameters,
    Role,
    Seat,
    TrustParameters
} from "./interfaces/INodeRegistry.sol";
import {Panel} from "./libraries/Panel.sol";
import {Trust} from "./libraries/Trust.sol";
import {MAX_RATE, ONE, TRUST_ONE, WEIGHT_UNIT} from "./libraries/Units.sol";

/// @title NodeRegistry
/// @notice See `INodeRegistry`, which holds all the words, and docs/protocol.md.
contract NodeRegistry is INodeRegistry, EIP712 {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using Checkpoints for Checkpoints.Trace208;

    bytes32 private constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(uint32 nodeId,address requester,bytes32 workloadHash,uint16 items,uint16 cost,bytes32 outputsHash)"
    );
    /// @dev Steps that a draw may take beyond the seats it fills.
    uint256 private constant SPARE_STEPS = 64;

    IERC20 public immutable TOKEN;
    /// @notice The rounds contract, the only one that reports outcomes.
    address public immutable ROUNDS;

    uint96 private immutable STAKE;
    uint40 private immutable EXIT_DELAY;
    uint96 private immutable NO_COMMIT_SLASH;
    uint96 private immutable NO_REVEAL_SLASH;
    address private immutable SLASH_SINK;
    uint32 private immutable TRUST_GAIN;
    uint32 private immutable TRUST_LOSS;
    uint16 private immutable TRUST_TOLERANCE;
    uint32 private immutable TRUST_SPREAD;
    uint16 private immutable TRUST_EVIDENCE;
    uint32 private immutable TRUST_FLOOR;
    uint32 private immutable TRUST_CAP;

    uint32 public nodeCount;
    uint256 public slashedBalance;

    mapping(uint32 nodeId => Node) private _nodes;

    /// @dev The list of active evaluators, with its past: its length, and the node at each one-based position.
    Checkpoints.Trace208 private _population;
    mapping(uint256 position => Checkpoints.Trace208) private _positions;

    /// @dev Eight trusts of 32 bits a word, node `id` in lane `id % 8` of bucket `id / 8`; zero stands for TRUST_ONE.
    mapping(bytes32 domain => mapping(uint256 bucket => uint256)) private _trusts;

    constructor(IERC20 token, address rounds, RegistryParameters memory p) EIP712("Proof of Quality", "1") {
        require(address(token) != address(0), InvalidParameter("token"));
        require(rounds != address(0), InvalidParameter("rounds"));
        require(p.stake > 0, InvalidParameter("stake"));
        require(p.slashSink != address(0), InvalidParameter("slashSink"));
        require(p.noCommitSlash <= p.noRevealSlash, InvalidParameter("noCommitSlash"));
        require(p.noRevealSlash <= p.stake, InvalidParameter("noRevealSlash"));
        require(p.trust.gain <= MAX_RATE, InvalidParameter("gain"));
        require(p.trust.loss <= MAX_RATE, InvalidParameter("loss"));
        require(p.trust.spread <= MAX_RATE, InvalidParameter("spread"));
        require(p.trust.tolerance <= ONE, InvalidParameter("tolerance"));
        require(p.trust.evidence > 0, InvalidParameter("evidence"));
        require(p.trust.floor >= WEIGHT_UNIT && p.trust.floor <= TRUST_ONE, InvalidParameter("floor"));
        // The lanes of `Consensus` have room for the weights of 31 seats of at most TRUST_ONE.
        require(p.trust.cap == TRUST_ONE, InvalidParameter("cap"));

        TOKEN = token;
        ROUNDS = rounds;
        STAKE = p.stake;
        EXIT_DELAY = p.exitDelay;
        NO_COMMIT_SLASH = p.noCommitSlash;
        NO_REVEAL_SLASH = p.noRevealSlash;
        SLASH_SINK = p.slashSink;
        TRUST_GAIN = p.trust.gain;
        TRUST_LOSS = p.trust.loss;
        TRUST_TOLERANCE = p.trust.tolerance;
        TRUST_SPREAD = p.trust.spread;
        TRUST_EVIDENCE = p.trust.evidence;
        TRUST_FLOOR = p.trust.floor;
        TRUST_CAP = p.trust.cap;
    }

    /* NODES */

    /// @inheritdoc INodeRegistry
    function register(Role role, address operator) external returns (uint32 nodeId) {
        require(role == Role.EVALUATOR || role == Role.INFERENCE, InvalidRole());
        require(operator != address(0), ZeroOperator());

        nodeId = ++nodeCount;
        Node storage node = _nodes[nodeId];
        (node.owner, node.role) = (msg.sender, role);
        (node.operator, node.stake) = (operator, STAKE);
        if (role == Role.EVALUATOR) _list(nodeId, node);

        emit NodeRegistered(nodeId, msg.sender, role, operator, STAKE);

        _pull(STAKE);
    }

    /// @inheritdoc INodeRegistry
    function rotateOperator(uint32 nodeId, address operator) external {
        Node storage node = _ownedStaying(nodeId);
        require(operator != address(0), ZeroOperator());

        node.operator = operator;

        emit OperatorRotated(nodeId, operator);
    }

    /// @inheritdoc INodeRegistry
    function topUp(uint32 nodeId) external {
        Node storage node = _nodes[nodeId];
        require(node.owner != address(0), UnknownNode(nodeId));
        require(node.exitableAt == 0, NodeLeft(nodeId));
        uint96 amount = STAKE - node.stake;
        require(amount > 0, NothingDue());

        node.stake = STAKE;
        if (node.role == Role.EVALUATOR) _list(nodeId, node);

        emit StakeToppedUp(nodeId, msg.sender, amount);

        _pull(amount);
    }

    /// @inheritdoc INodeRegistry
    function exit(uint32 nodeId) external {
        Node storage node = _ownedStaying(nodeId);

        uint40 exitableAt = (block.timestamp + EXIT_DELAY).toUint40();
        node.exitableAt = exitableAt;
        _unlist(node);

        emit NodeExited(nodeId, exitableAt);
    }

    /// @inheritdoc INodeRegistry
    function withdrawStake(uint32 nodeId) external {
        Node storage node = _owned(nodeId);
        require(node.exitableAt != 0, NodeNotLeft(nodeId));
        require(block.timestamp >= node.exitableAt, ExitDelayed(nodeId, node.exitableAt));
        uint256 amount = node.stake;
        require(amount > 0, NothingDue());

        node.stake = 0;

        emit StakeWithdrawn(nodeId, msg.sender, amount);

        TOKEN.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc INodeRegistry
    function sweepSlashes() external {
        uint256 amount = slashedBalance;
        require(amount > 0, NothingDue());

        slashedBalance = 0;

        emit SlashesSwept(SLASH_SINK, amount);

        TOKEN.safeTransfer(SLASH_SINK, amount);
    }

    /* ROUNDS */

    /// @inheritdoc INodeRegistry
    function checkReceipts(
        address requester,
        bytes32 workloadHash,
        Batch[] calldata batches,
        bytes[] calldata receipts
    ) external view {
        require(receipts.length == batches.length, ReceiptCountMismatch(receipts.length, batches.length));
        for (uint256 i; i < batches.length; ++i) {
            Batch calldata batch = batches[i];
            Node storage node = _nodes[batch.nodeId];
            require(
                node.role == Role.INFERENCE && node.owner == batch.owner && node.exitableAt == 0,
                NotInferenceNode(batch.nodeId, batch.owner)
            );
            require(
                SignatureChecker.isValidSignatureNow(
                    node.operator, receiptDigest(batch, requester, workloadHash), receipts[i]
                ),
                InvalidReceipt(batch.nodeId)
            );
        }
    }

    /// @inheritdoc INodeRegistry
    function drawPanel(
        bytes32 seed,
        uint256 size,
        uint256 atBlock,
        bytes32 domain,
        address[] calldata excluded
    ) external view returns (Seat[] memory panel) {
        uint256 population = populationAt(atBlock);
        uint256 steps = Math.min(population, size + SPARE_STEPS);
        Panel.Shuffle memory shuffle = Panel.shuffle(seed, population, steps);
        panel = new Seat[](size);

        uint256 found;
        for (uint256 i; i < steps && found < size; ++i) {
            uint32 nodeId = evaluatorAt(Panel.next(shuffle), atBlock);
            address owner = _nodes[nodeId].owner;
            if (!_contains(excluded, owner)) panel[found++] = Seat(nodeId, owner, trustOf(nodeId, domain));
        }
        require(found == size, TooFewEvaluators(found, size));
    }

    /// @inheritdoc INodeRegistry
    function concludeRound(uint256 roundId, bytes32 domain, uint256 items, Outcome[] calldata outcomes) external {
        require(msg.sender == ROUNDS, NotRounds(msg.sender));

        uint256 present;
        uint256[] memory disagreements = new uint256[](outcomes.length);
        for (uint256 i; i < outcomes.length; ++i) {
            Outcome calldata outcome = outcomes[i];
            if (outcome.conduct == Conduct.PRESENT) disagreements[present++] = outcome.disagreement;
            else _slash(roundId, outcome.nodeId, outcome.conduct);
        }
        if (present == 0) return;
        if (present < disagreements.length) disagreements = _head(disagreements, present);

        TrustParameters memory p = _trustParameters();
        uint256 tau = Trust.tolerance(p, disagreements);
        bytes memory trusts;
        for (uint256 i; i < outcomes.length; ++i) {
            Outcome calldata outcome = outcomes[i];
            if (outcome.conduct != Conduct.PRESENT) continue;
            uint32 nodeId = outcome.nodeId;
            // At most `cap`, a uint32.
            uint32 trust = uint32(Trust.updated(p, trustOf(nodeId, domain), outcome.disagreement, tau, items));
            _setTrust(nodeId, domain, trust);
            trusts = bytes.concat(trusts, bytes4(nodeId), bytes4(trust));
        }

        emit TrustUpdated(roundId, domain, trusts);
    }

    /* VIEWS */

    /// @inheritdoc INodeRegistry
    function receiptDigest(Batch calldata batch, address requester, bytes32 workloadHash)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    RECEIPT_TYPEHASH,
                    batch.nodeId,
                    requester,
                    workloadHash,
                    batch.items,
                    batch.cost,
                    batch.outputsHash
                )
            )
        );
    }

    /// @inheritdoc INodeRegistry
    function nodeOf(uint32 nodeId) external view returns (Node memory) {
        return _nodes[nodeId];
    }

    /// @inheritdoc INodeRegistry
    function operatorOf(uint32 nodeId) external view returns (address) {
        return _nodes[nodeId].operator;
    }

    /// @inheritdoc INodeRegistry
    function trustOf(uint32 nodeId, bytes32 domain) public view returns (uint32) {
        // One lane of 32 bits is what the cast keeps.
        uint32 trust = uint32(_trusts[domain][nodeId / 8] >> (nodeId % 8 * 32));
        return trust == 0 ? uint32(TRUST_ONE) : trust;
    }

    /// @inheritdoc INodeRegistry
    function populationAt(uint256 atBlock) public view returns (uint256) {
        return _population.upperLookupRecent(atBlock.toUint48());
    }

    /// @inheritdoc INodeRegistry
    function evaluatorAt(uint256 position, uint256 atBlock) public view returns (uint32) {
        // Only node ids are pushed there.
        return uint32(_positions[position + 1].upperLookupRecent(atBlock.toUint48()));
    }

    /// @inheritdoc INodeRegistry
    function parameters() external view returns (RegistryParameters memory) {
        return RegistryParameters({
            stake: STAKE,
            exitDelay: EXIT_DELAY,
            noCommitSlash: NO_COMMIT_SLASH,
            noRevealSlash: NO_REVEAL_SLASH,
            slashSink: SLASH_SINK,
            trust: _trustParameters()
        });
    }

    /* INTERNAL */

    /// @dev Appends an evaluator to the list.
    function _list(uint32 nodeId, Node storage node) private {
        uint208 position = _population.latest() + 1;
        node.position = uint256(position).toUint32();
        _positions[position].push(_now(), nodeId);
        _population.push(_now(), position);
    }

    /// @dev Takes an evaluator off the list, if it is on it: the last one takes its place.
    function _unlist(Node storage node) private {
        uint32 position = node.position;
        if (position == 0) return;
        uint208 last = _population.latest();
        uint208 lastId = _positions[last].latest();
        node.position = 0;
        _population.push(_now(), last - 1);
        if (position == last) return;
        // Only node ids are pushed there.
        _nodes[uint32(lastId)].position = position;
        _positions[position].push(_now(), lastId);
    }

    function _slash(uint256 roundId, uint32 nodeId, Conduct conduct) private {
        Node storage node = _nodes[nodeId];
        uint96 due = conduct == Conduct.NOT_COMMITTED ? NO_COMMIT_SLASH : NO_REVEAL_SLASH;
        uint96 amount = node.stake < due ? node.stake : due;
        if (amount == 0) return;

        node.stake -= amount;
        slashedBalance += amount;
        _unlist(node);

        emit Slashed(roundId, nodeId, conduct, amount);
    }

    function _setTrust(uint32 nodeId, bytes32 domain, uint32 trust) private {
        uint256 shift = nodeId % 8 * 32;
        uint256 word = _trusts[domain][nodeId / 8];
        _trusts[domain][nodeId / 8] = word & ~(uint256(type(uint32).max) << shift) | uint256(trust) << shift;
    }

    /// @dev Takes `amount` from the caller and refuses tokens that deliver less.
    function _pull(uint256 amount) private {
        uint256 before = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = TOKEN.balanceOf(address(this)) - before;
        require(received == amount, TransferShortfall(received, amount));
    }

    function _owned(uint32 nodeId) private view returns (Node storage node) {
        node = _nodes[nodeId];
        require(node.owner != address(0), UnknownNode(nodeId));
        require(node.owner == msg.sender, NotOwner(nodeId, msg.sender));
    }

    function _ownedStaying(uint32 nodeId) private view returns (Node storage node) {
        node = _owned(nodeId);
        require(node.exitableAt == 0, NodeLeft(nodeId));
    }

    function _trustParameters() private view returns (TrustParameters memory) {
        return TrustParameters({
            gain: TRUST_GAIN,
            loss: TRUST_LOSS,
            tolerance: TRUST_TOLERANCE,
            spread: TRUST_SPREAD,
            evidence: TRUST_EVIDENCE,
            floor: TRUST_FLOOR,
            cap: TRUST_CAP
        });
    }

    function _now() private view returns (uint48) {
        return block.number.toUint48();
    }

    function _contains(address[] calldata accounts, address account) private pure returns (bool) {
        for (uint256 i; i < accounts.length; ++i) {
            if (accounts[i] == account) return true;
        }
        return false;
    }

    function _head(uint256[] memory values, uint256 count) private pure returns (uint256[] memory head) {
        head = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            head[i] = values[i];
        }
    }
}
