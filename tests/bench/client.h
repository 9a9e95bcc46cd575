/* SPDX-License-Identifier: MIT */
/* What client.c and the loads that it is the client of (net_loads.c) tell each other: the load
 * starts it with a socket that both hold, tells it to begin by one byte, and gets one report. */
#ifndef ETALON_BENCH_CLIENT_H
#define ETALON_BENCH_CLIENT_H

#include <stdint.h>

#define CLIENT_FD 3 /* where the client has its end of the socket */

struct client_report {
    uint64_t answered; /* messages that came back as they were sent, each once */
    uint64_t wall_ns;  /* from the first that was sent to the last that came back */
    uint64_t half_ns, ninety_ns, ninety_nine_ns, thousandth_ns, longest_ns; /* of the latencies */
};

#endif
