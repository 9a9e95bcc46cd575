/* SPDX-License-Identifier: MIT */
/* The words that the loop, the model and every test share: states, operations, actions, run modes.
 * Nothing here depends on the loop; anybody may include it. */
#ifndef ETALON_VOCABULARY_H
#define ETALON_VOCABULARY_H

enum et_state {
    ET_DEAD,     /* the caller's alone: free it, reuse it, submit it */
    ET_ADDING,   /* in the submissions; its operation has not begun */
    ET_ACTIVE,   /* its operation is under way */
    ET_DELETING, /* in the deletions; its callback will not be called */
};

enum et_operation {
    ET_NOOP,
    ET_CANCEL,
    ET_ACCEPT,
    ET_CONNECT,
    ET_POLL,
    ET_READ,
    ET_PREAD,
    ET_WRITE,
    ET_PWRITE,
    ET_SEND,
    ET_RECV,
    ET_SENDMSG,
    ET_RECVMSG,
    ET_CLOSE,
    ET_SHUTDOWN,
    ET_TIMER,
};
#define ET_OPERATIONS 16

enum et_action {
    ET_DISARM, /* the loop does not touch the completion any more */
    ET_REARM,  /* add it again, as it is */
};

enum et_run_mode {
    ET_RUN_NO_WAIT,    /* one round that does not block */
    ET_RUN_ONCE,       /* until a callback was called, or nothing is active (see et_loop_tick) */
    ET_RUN_UNTIL_DONE, /* until stopped, or nothing is active and both queues are empty */
    ET_RUN_TURN,       /* one round, which waits unless there was something to do */
};

#endif
