/* SPDX-License-Identifier: MIT */
/* Stands for the compiler's in `make orders`: ../machine.h, included before, has it all. */
