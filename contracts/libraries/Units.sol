// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev One, for scores, costs, latencies and shares: basis points.
uint256 constant ONE = 10_000;
/// @dev One, for trust: where every node starts in every domain.
uint256 constant TRUST_ONE = 1_000_000;

/// @dev Trust that weighs one in a consensus: a seat weighs at most TRUST_ONE / WEIGHT_UNIT = 1000.
uint256 constant WEIGHT_UNIT = 1000;

/// @dev The most that the rates of trust may be, a hundred: products with them stay below 2⁶³.
uint256 constant MAX_RATE = 100 * ONE;

uint256 constant MIN_SEATS = 3;
uint256 constant MAX_SEATS = 31;
uint256 constant MAX_BATCHES = 32;
uint256 constant MAX_ITEMS = 4096;
/// @dev The most items of a round that its seats are judged by, a multiple of sixteen.
uint256 constant MAX_JUDGED = 128;
/// @dev What scores and bounds of one settlement may take, so that it fits the 128 KiB that mempools accept.
uint256 constant MAX_ROUND_BYTES = 122_880;
