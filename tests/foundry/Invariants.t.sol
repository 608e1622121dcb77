// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Invariants} from "./Invariants.sol";
import {Test} from "./Test.sol";

contract InvariantsTest is Test {
    Invariants private network;

    function setUp() external {
        network = new Invariants();
        _target(address(network));
    }

    function invariant_allHoldAfterEveryAction() external view {
        network.check();
    }
}
