// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Draws distinct places uniformly, one after the other, in as many steps as the caller wants.
///
/// A Fisher–Yates shuffle of the places 0 … population−1 that is only run as far as needed: step i swaps place i with
/// `i + keccak(seed ‖ i) mod (population − i)`. Of the swapped places only those that differ from their index are kept. The modulo
/// favours small remainders by less than 2⁻²⁰⁰.
library Panel {
    struct Shuffle {
        bytes32 seed;
        uint256 population;
        uint256 steps; //      done so far
        uint256[] places; //   touched, not yet drawn
        uint256[] occupants; // what the swaps brought there
        uint256 touched;
    }

    function shuffle(bytes32 seed, uint256 population, uint256 maxSteps) internal pure returns (Shuffle memory s) {
        s.seed = seed;
        s.population = population;
        s.places = new uint256[](maxSteps);
        s.occupants = new uint256[](maxSteps);
    }

    /// @dev Assumes `steps < population` and `steps < maxSteps`.
    function next(Shuffle memory s) internal pure returns (uint256 drawn) {
        uint256 i = s.steps++;
        uint256 j = i + uint256(keccak256(abi.encode(s.seed, i))) % (s.population - i);
        uint256 occupantOfI = i;
        uint256 slot = s.touched;
        drawn = j;
        for (uint256 k; k < s.touched; ++k) {
            if (s.places[k] == i) occupantOfI = s.occupants[k];
            if (s.places[k] == j) (slot, drawn) = (k, s.occupants[k]);
        }
        if (slot == s.touched) s.touched++;
        s.places[slot] = j;
        s.occupants[slot] = occupantOfI;
    }
}
