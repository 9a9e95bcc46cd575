/* SPDX-License-Identifier: MIT */
/* For Frama-C: src/ brings the one number that it uses. */
