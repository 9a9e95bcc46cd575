/* SPDX-License-Identifier: MIT */
/* The handles that only the real Linux has (WORLD_KINDS and more, model/program.h), for
 * real_world.c: sockets of the loopback device, terminals, and what tells of signals, of files and
 * of processes. None of these functions is wrapped by the linker. */
#ifndef ETALON_WORLD_HANDLES_H
#define ETALON_WORLD_HANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* end[0] becomes the program's, end[1] the world's: what can bring it about that something is
 * ready (another end, a file that is watched, a process by its pidfd). Returns how many there are,
 * or -1 with errno. Their numbers may be any. */
int handles_open(unsigned kind, int end[2]);

/* What the world does with its end. peer: end[1], or -1 when it has been given up. */
void handles_write(unsigned kind, int fd, int peer, const char *bytes, uint64_t value,
                   uint64_t *sent);
/* An entry comes to the error queue of fd: it sends what is too long for any datagram. */
void handles_error(unsigned kind, int fd);
void handles_give_up(unsigned kind, int fd, int peer);
/* The process has ended when this returns. for_good: nobody is told of it any more. */
void handles_end_process(int pidfd, bool for_good);

/* A client of a listener of the loopback device, or -1. */
int handles_client(int listener);

/* Where to find it: its length, or 0 for what has no address on the loopback device. */
socklen_t handles_address(int fd, struct sockaddr_storage *address);

/* Linux may still be about to deliver what was sent on the loopback device: comes back when what
 * has been done to the other end is to be seen at fd, and after a while in any case. */
void handles_settle(unsigned kind, int fd, short events);

#endif
