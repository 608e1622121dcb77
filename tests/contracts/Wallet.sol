// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice An operator that is a contract (EIP-1271) and answers by its temper when asked whether a signature is its own.
contract Wallet {
    enum Temper {
        HONEST, //  the magic value for signatures of its key, otherwise zeros
        TRUE, //    1, as if the answer were a boolean
        SHORT, //   the four bytes of the magic value and nothing after
        DIRTY, //   the magic value, and then not only zeros
        SILENT, //  nothing at all
        WRITING, // the magic value, after it wrote to its storage
        REVERTING
    }

    address private immutable KEY;
    Temper private immutable TEMPER;
    uint256 private _asked;

    constructor(address key, Temper temper) {
        (KEY, TEMPER) = (key, temper);
    }

    fallback(bytes calldata question) external returns (bytes memory) {
        bytes4 magic = IERC1271.isValidSignature.selector;
        require(bytes4(question) == magic && TEMPER != Temper.REVERTING);
        if (TEMPER == Temper.TRUE) return abi.encode(true);
        if (TEMPER == Temper.SHORT) return abi.encodePacked(magic);
        if (TEMPER == Temper.DIRTY) return abi.encodePacked(magic, bytes28(uint224(1)));
        if (TEMPER == Temper.SILENT) return "";
        if (TEMPER == Temper.WRITING) ++_asked;
        (bytes32 digest, bytes memory signature) = abi.decode(question[4:], (bytes32, bytes));
        (address signer,,) = ECDSA.tryRecover(digest, signature);
        return abi.encode(signer == KEY ? magic : bytes4(0));
    }
}
