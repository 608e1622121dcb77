// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The cheat codes that these tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 key) external pure returns (address);
    function assume(bool condition) external pure;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function envOr(string calldata name, string calldata fallback_) external view returns (string memory);
    function getNonce(address account) external view returns (uint64);
    function getRecordedLogs() external returns (Log[] memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function prank(address sender) external;
    function readFile(string calldata path) external view returns (string memory);
    function recordLogs() external;
    function roll(uint256 number) external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function warp(uint256 timestamp) external;
}

/// @notice What forge-std would give: the cheat codes, and how an invariant test names its targets. A test fails by reverting.
abstract contract Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address[] private _targets;

    /// @dev Read by forge: the contracts whose functions an invariant campaign calls.
    function targetContracts() external view returns (address[] memory) {
        return _targets;
    }

    function _target(address target) internal {
        _targets.push(target);
    }

    /// @dev Of `limit` values, the one that `seed` picks for this purpose.
    function _pick(uint256 seed, string memory purpose, uint256 limit) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, purpose))) % limit;
    }
}
