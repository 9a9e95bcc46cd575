/* SPDX-License-Identifier: MIT */
/* Stands for the C library's in `make orders`: an assertion is ../machine.h's, by which Relacy
 * shows the execution that breaks it. */
