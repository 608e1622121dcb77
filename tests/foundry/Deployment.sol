// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MockToken} from "../contracts/MockToken.sol";
import {INodeRegistry, RegistryParameters, TrustParameters} from "../../contracts/interfaces/INodeRegistry.sol";
import {IQualityRounds, RoundsParameters} from "../../contracts/interfaces/IQualityRounds.sol";
import {TRUST_ONE} from "../../contracts/libraries/Units.sol";
import {Test} from "./Test.sol";

/// @notice Both contracts from their committed artifacts (or those in the directory `ARTIFACTS`), with parameters odd enough to round
/// everywhere and slashes large enough to use up a stake.
abstract contract Deployment is Test {
    uint96 internal constant STAKE = 1 ether + 7;
    uint96 internal constant NO_COMMIT_SLASH = 0.15 ether + 1;
    uint96 internal constant NO_REVEAL_SLASH = 0.4 ether + 3;
    uint40 internal constant COMMIT_WINDOW = 600;
    uint40 internal constant REVEAL_WINDOW = 300;
    uint40 internal constant SETTLE_WINDOW = 900;
    uint64 internal constant DRAW_DELAY = 2;
    uint40 internal constant EXIT_DELAY = 20_000;
    uint32 internal constant TRUST_FLOOR = 100_000;
    uint256 internal constant HASH_HORIZON = 256;
    address internal constant SINK = address(0xdead);

    MockToken internal token;
    INodeRegistry internal registry;
    IQualityRounds internal rounds;

    function _deploy() internal {
        token = new MockToken();
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        registry =
            INodeRegistry(_create("NodeRegistry", abi.encode(address(token), predicted, _registryParameters())));
        rounds = IQualityRounds(
            _create("QualityRounds", abi.encode(address(token), address(registry), _roundsParameters()))
        );
        require(address(rounds) == predicted, "the registry knows another rounds contract");
    }

    function _registryParameters() internal pure returns (RegistryParameters memory) {
        TrustParameters memory trust = TrustParameters({
            gain: 5_000,
            loss: 20_000,
            tolerance: 200,
            spread: 15_000,
            evidence: 20,
            floor: TRUST_FLOOR,
            cap: uint32(TRUST_ONE)
        });
        return RegistryParameters(STAKE, EXIT_DELAY, NO_COMMIT_SLASH, NO_REVEAL_SLASH, SINK, trust);
    }

    function _roundsParameters() internal pure returns (RoundsParameters memory) {
        return RoundsParameters({
            drawDelay: DRAW_DELAY,
            commitWindow: COMMIT_WINDOW,
            revealWindow: REVEAL_WINDOW,
            settleWindow: SETTLE_WINDOW,
            leastEvaluatorPay: 1,
            qualityWeight: 9_000,
            costWeight: 2_000,
            closenessScale: 5_000
        });
    }

    function _create(string memory name, bytes memory arguments) internal returns (address) {
        return _createFrom(vm.envOr("ARTIFACTS", "contracts/artifacts"), name, arguments);
    }

    function _createFrom(string memory directory, string memory name, bytes memory arguments)
        internal
        returns (address created)
    {
        string memory artifact = vm.readFile(string.concat(directory, "/", name, ".json"));
        bytes memory code = bytes.concat(vm.parseJsonBytes(artifact, ".bytecode"), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        require(created.code.length > 0, "the artifact does not deploy");
    }
}
