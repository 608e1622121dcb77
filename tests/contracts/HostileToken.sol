// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token that can do to its users what tokens have done: block a receiver, take a fee, say no, say yes and do
/// nothing, and call back in the middle of a transfer.
contract HostileToken is ERC20 {
    enum Temper {
        HONEST,
        REFUSING, // answers false and moves nothing
        IDLE //      answers true and moves nothing
    }

    Temper public temper;
    uint256 public fee; // in basis points
    mapping(address account => bool) public blocked;

    /// @notice Whether the call in the last transfer that made one succeeded, and how many were made.
    bool public succeeded;
    uint256 public calls;

    address private _target;
    bytes private _payload;

    constructor() ERC20("Hostile Token", "HOST") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function setTemper(Temper temper_) external {
        temper = temper_;
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function setBlocked(address account, bool blocked_) external {
        blocked[account] = blocked_;
    }

    /// @notice In the next transfer, after the balances changed, call `target` with `payload`.
    function arm(address target, bytes calldata payload) external {
        (_target, _payload) = (target, payload);
    }

    /// @notice Does as the token what anybody wants.
    function execute(address target, bytes calldata payload) external {
        (bool done, bytes memory answer) = target.call(payload);
        require(done, string(answer));
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return temper == Temper.HONEST ? super.transfer(to, amount) : temper == Temper.IDLE;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return temper == Temper.HONEST ? super.transferFrom(from, to, amount) : temper == Temper.IDLE;
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(!blocked[to], "blocked");
        super._update(from, to, amount);
        if (from == address(0) || to == address(0)) return;
        if (fee > 0) _burn(to, amount * fee / 10_000);
        address target = _target;
        if (target == address(0)) return;
        _target = address(0);
        ++calls;
        (succeeded,) = target.call(_payload);
    }
}
