// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Node, Role} from "../../contracts/interfaces/INodeRegistry.sol";
import {Model} from "./Model.sol";

/// @notice What owners do with their nodes. Each action picks one that is allowed, or none: forge then tries another.
abstract contract NodeActions is Model {
    uint256 private constant MOST_NODES = 14;

    function register(uint256 seed) external {
        vm.assume(registrations < MOST_NODES && seed % 4 == 0);
        _register(seed % 16 == 0 ? Role.INFERENCE : Role.EVALUATOR, seed);
    }

    function rotateOperator(uint256 seed) external {
        vm.assume(seed % 8 == 0);
        uint32 nodeId = _node(seed, _staying);
        uint256 key = _pick(seed, "key", 1 << 64) + 1;
        operatorKeyOf[nodeId] = key;

        vm.prank(_ownerOf(nodeId));
        registry.rotateOperator(nodeId, vm.addr(key));
    }

    function topUp(uint256 seed) external {
        uint32 nodeId = _node(seed, _slashedAndStaying);
        uint256 missing = STAKE - stakeOf[nodeId];
        stakeOf[nodeId] = STAKE;
        if (registry.nodeOf(nodeId).role == Role.EVALUATOR) _list(nodeId, true);

        _fund(address(this), address(registry), missing);
        registry.topUp(nodeId);
    }

    function exit(uint256 seed) external {
        // A network that nobody stays in plays no rounds.
        vm.assume(population > 5 && seed % 3 == 0);
        uint32 nodeId = _node(seed, _staying);
        _list(nodeId, false);

        vm.prank(_ownerOf(nodeId));
        registry.exit(nodeId);
    }

    function withdrawStake(uint256 seed) external {
        uint32 nodeId = _node(seed, _gone);
        if (_isSeated(nodeId)) _breach("a stake left before the windows of its node's round had passed");
        address owner = _ownerOf(nodeId);
        uint256 amount = stakeOf[nodeId];
        uint256 held = token.balanceOf(owner);
        stakeOf[nodeId] = 0;

        vm.prank(owner);
        registry.withdrawStake(nodeId);

        if (token.balanceOf(owner) != held + amount) _breach("a stake was paid out in another amount");
    }

    function sweepSlashes() external {
        vm.assume(slashed > swept);
        swept = slashed;

        registry.sweepSlashes();
    }

    function _register(Role role, uint256 seed) internal {
        address owner = _owner(_pick(seed, "owner", OWNERS));
        uint256 key = _pick(seed, "key", 1 << 64) + 1;
        uint32 nodeId = ++registrations;
        stakeOf[nodeId] = STAKE;
        operatorKeyOf[nodeId] = key;
        if (role == Role.EVALUATOR) _list(nodeId, true);

        _fund(owner, address(registry), STAKE);
        vm.prank(owner);
        if (registry.register(role, vm.addr(key)) != nodeId) _breach("a node got another id than the next");
    }

    function _owner(uint256 index) internal pure returns (address) {
        return address(uint160(0xA000 + index));
    }

    function _ownerOf(uint32 nodeId) internal view returns (address) {
        return registry.nodeOf(nodeId).owner;
    }

    function _fund(address account, address spender, uint256 amount) internal {
        token.mint(account, amount);
        vm.prank(account);
        token.approve(spender, amount);
    }

    /// @dev A node that `fits`, or the action is not possible now.
    function _node(uint256 seed, function(uint32) view returns (bool) fits) internal view returns (uint32 nodeId) {
        uint256 start = _pick(seed, "node", registrations);
        for (uint256 i; i < registrations; ++i) {
            nodeId = uint32((start + i) % registrations) + 1;
            if (fits(nodeId)) return nodeId;
        }
        vm.assume(false);
    }

    function _staying(uint32 nodeId) internal view returns (bool) {
        return registry.nodeOf(nodeId).exitableAt == 0;
    }

    function _slashedAndStaying(uint32 nodeId) private view returns (bool) {
        return stakeOf[nodeId] < STAKE && _staying(nodeId);
    }

    function _gone(uint32 nodeId) private view returns (bool) {
        Node memory node = registry.nodeOf(nodeId);
        return node.exitableAt != 0 && node.exitableAt <= block.timestamp && stakeOf[nodeId] > 0;
    }

    function _leaving(uint32 nodeId) internal view returns (bool) {
        return registry.nodeOf(nodeId).exitableAt > block.timestamp;
    }

    /// @dev In a round whose windows have not passed. One that nobody ends for longer than `EXIT_DELAY` no longer holds stakes.
    function _isSeated(uint32 nodeId) private view returns (bool) {
        for (uint256 i; i < _live.length; ++i) {
            Game storage game = _games[_live[i]];
            if (block.timestamp >= _revealsCloseAt(game) + SETTLE_WINDOW) continue;
            bytes memory panel = game.panel;
            for (uint256 seat; 28 * seat < panel.length; ++seat) {
                if (nodeIn(panel, seat) == nodeId) return true;
            }
        }
        return false;
    }
}
