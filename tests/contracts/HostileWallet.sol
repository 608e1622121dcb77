// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @notice An operator that is a contract (EIP-1271) and harms whoever asks it for a signature.
contract HostileWallet {
    enum Temper {
        YES, //      everything is its signature
        NO, //       nothing is
        BURNING, //  uses all gas that it is given
        SWELLING, // says yes, and a megabyte more
        CALLING //   calls back before it says yes
    }

    uint256 private constant MEGABYTE = 2 ** 20;

    Temper public temper;

    constructor(Temper temper_) {
        temper = temper_;
    }

    function setTemper(Temper temper_) external {
        temper = temper_;
    }

    function isValidSignature(bytes32, bytes calldata) external returns (bytes4) {
        if (temper == Temper.BURNING) while (true) {}
        if (temper == Temper.SWELLING) {
            bytes memory answer = new bytes(MEGABYTE);
            bytes4 magic = IERC1271.isValidSignature.selector;
            assembly {
                mstore(add(answer, 32), magic)
                return(add(answer, 32), MEGABYTE)
            }
        }
        if (temper == Temper.CALLING) {
            (bool done,) = msg.sender.call(abi.encodeWithSignature("sweepSlashes()"));
            require(done);
        }
        return temper == Temper.NO ? bytes4(0) : IERC1271.isValidSignature.selector;
    }
}
