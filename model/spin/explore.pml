/* SPDX-License-Identifier: MIT */
/* Every program of a small scope, on the loop's own object code and on the model (README.md; called
 * by explore.sh).
 *
 * All that happens is in C (explore_loop.c): explore_take(i) goes on in the i-th of
 * explore_head->options ways. Concrete memory is saved and restored by Spin but not matched; the
 * abstract joint state is. One step of the program is one atomic sequence: a command, and the
 * choices that callbacks and waits make while it is carried out. */
c_decl {
\#include "explore.h"
}
c_track "explore_snapshot" "EXPLORE_SNAPSHOT" "UnMatched"
c_track "explore_state" "EXPLORE_STATE" "Matched"

bit wrong;

#define WAY(i)                                                                                     \
    :: d_step {                                                                                    \
        c_expr { explore_head->options > i } -> c_code { now.wrong = explore_take(i); };           \
        assert(!wrong)                                                                             \
    }
#define WAYS(i) WAY(i) WAY(i + 1) WAY(i + 2) WAY(i + 3) WAY(i + 4) WAY(i + 5) WAY(i + 6) WAY(i + 7)

active proctype program() {
    d_step { c_code { explore_begin(readtrail); } }
end:
    do
    :: atomic {
        c_expr { explore_head->options > 0 } ->
more:
        if
        WAYS(0) WAYS(8) WAYS(16) WAYS(24) WAYS(32) WAYS(40)
        WAYS(48) WAYS(56) WAYS(64) WAYS(72) WAYS(80) WAYS(88)
        fi;
        if
        :: c_expr { explore_head->inside } -> goto more
        :: else
        fi
    }
    od
}
