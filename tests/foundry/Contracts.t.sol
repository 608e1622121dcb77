// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, INodeRegistry, Role} from "../../contracts/interfaces/INodeRegistry.sol";
import {IQualityRounds} from "../../contracts/interfaces/IQualityRounds.sol";
import {Deployment} from "./Deployment.sol";

/// @notice Single calls of both contracts with any arguments; what needs a history of calls is left to the invariants.
contract ContractsTest is Deployment {
    uint256 private constant KEY = 0xC0FFEE;

    uint32 private nodeId;

    function setUp() external {
        _deploy();
        token.mint(address(this), 10 * uint256(STAKE));
        token.approve(address(registry), type(uint256).max);
        nodeId = registry.register(Role.INFERENCE, vm.addr(KEY));
    }

    function test_aStakeCanNeitherBeToppedUpWhileFullNorLeaveWithoutAnExit() external {
        _refuses(address(registry), abi.encodeCall(registry.topUp, (nodeId)), INodeRegistry.NothingDue.selector);
        _refuses(address(registry), abi.encodeCall(registry.withdrawStake, (nodeId)), INodeRegistry.NodeNotLeft.selector);
    }

    function test_aStakeLeavesInTheFirstSecondAfterItsDelayAndOnce() external {
        registry.exit(nodeId);
        vm.warp(block.timestamp + EXIT_DELAY - 1);
        bytes memory call = abi.encodeCall(registry.withdrawStake, (nodeId));
        _refuses(address(registry), call, INodeRegistry.ExitDelayed.selector);
        vm.warp(block.timestamp + 1);
        uint256 held = token.balanceOf(address(this));
        registry.withdrawStake(nodeId);
        require(token.balanceOf(address(this)) == held + STAKE, "another amount");
        _refuses(address(registry), call, INodeRegistry.NothingDue.selector);
    }

    function testFuzz_aReceiptHoldsForItsBatchItsRequesterAndItsWorkloadOnly(
        Batch memory batch,
        address requester,
        bytes32 workloadHash,
        uint256 field
    ) external {
        (batch.nodeId, batch.owner) = (nodeId, address(this));
        bytes[] memory receipts = new bytes[](1);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, registry.receiptDigest(batch, requester, workloadHash));
        receipts[0] = bytes.concat(r, s, bytes1(v));
        Batch[] memory batches = new Batch[](1);
        batches[0] = batch;

        registry.checkReceipts(requester, workloadHash, batches, receipts);

        field %= 5;
        if (field == 0) requester = address(uint160(requester) ^ 1);
        if (field == 1) workloadHash ^= bytes32(uint256(1));
        if (field == 2) batch.items ^= 1;
        if (field == 3) batch.cost ^= 1;
        if (field == 4) batch.outputsHash ^= bytes32(uint256(1));
        _refuses(
            address(registry),
            abi.encodeCall(registry.checkReceipts, (requester, workloadHash, batches, receipts)),
            INodeRegistry.InvalidReceipt.selector
        );
    }

    function testFuzz_aCommitmentIsOneHashOfOneEncoding(uint256 roundId, uint32 node, bytes32 salt, bytes calldata scores)
        external
        view
    {
        bytes memory preimage =
            bytes.concat(abi.encode(block.chainid, address(rounds), roundId, uint256(node)), salt, scores);
        require(rounds.commitment(roundId, node, salt, scores) == keccak256(preimage), "another hash");
    }

    function testFuzz_nothingCanBeDoneToARoundThatWasNeverOpened(uint256 roundId, uint256 seat, bytes32 commitment)
        external
    {
        bytes memory call = abi.encodeCall(rounds.commit, (roundId, seat, commitment));
        _refuses(address(rounds), call, IQualityRounds.WrongPhase.selector);
        require(rounds.seatOf(roundId, seat) == 0 && rounds.digestOf(roundId) == 0, "something is there");
    }

    function testFuzz_onlyTheRoundsReportAnOutcome(address stranger, bytes calldata arguments) external {
        vm.assume(stranger != address(rounds));
        vm.prank(stranger);
        (bool success,) =
            address(registry).call(bytes.concat(INodeRegistry.concludeRound.selector, arguments));
        require(!success, "a stranger reported an outcome");
    }

    function _refuses(address target, bytes memory call, bytes4 selector) private {
        (bool success, bytes memory reason) = target.call(call);
        require(!success && bytes4(reason) == selector, "not refused for this reason");
    }
}
