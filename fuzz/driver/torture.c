/* SPDX-License-Identifier: MIT */
/* Which call may fail with what, and the one that has to (torture.h).
 *
 * The table holds what section 2 of the manual pages documents for the call and the kind of file
 * behind its descriptor, without what cannot be: ENOTSOCK of a socket, EBADF of a close of what is
 * open, EFAULT and EINVAL of the loop's own arguments. Added are those errors of epoll_pwait2 with
 * which sandboxes refuse calls that they do not know (ET-WAIT-6). A descriptor that is not open
 * fails by itself. */
#include "torture.h"

#include <errno.h>
#include <stddef.h>

#include "lockstep.h"

/* Kinds of file, as a mask. */
enum {
    PIPE = 1,
    SOCKET = 2,
    COUNTER = 4,
    REGULAR = 8,
    NO_FILE = 16,
    OWN = 32,
    THEIRS = 15,
    ANY = 63
};

struct possible {
    uint8_t files;
    uint8_t error;
};

#define LIST(name) static const struct possible name[]
LIST(never) = {{0, 0}};
LIST(allocate) = {{ANY, ENOMEM}, {0, 0}};
LIST(made) = {{ANY, EMFILE}, {ANY, ENFILE}, {ANY, ENOMEM}, {0, 0}};
LIST(counted) = {{ANY, EMFILE}, {ANY, ENFILE}, {ANY, ENODEV}, {ANY, ENOMEM}, {0, 0}};
LIST(copied) = {{ANY, EBUSY}, {ANY, EINTR}, {ANY, EMFILE}, {0, 0}};
LIST(add) = {{ANY, ENOMEM},    {ANY, ENOSPC},   {THEIRS, EPERM},  {THEIRS, EBADF},
             {THEIRS, EEXIST}, {THEIRS, ELOOP}, {THEIRS, EINVAL}, {0, 0}};
LIST(modify) = {{ANY, ENOENT}, {ANY, ENOMEM}, {ANY, EBADF}, {ANY, EPERM}, {ANY, EINVAL}, {0, 0}};
LIST(removed) = {{ANY, ENOENT}, {ANY, ENOMEM}, {ANY, EBADF}, {ANY, EPERM}, {ANY, EINVAL}, {0, 0}};
LIST(waited2) = {{ANY, EINTR}, {ANY, EBADF},  {ANY, EINVAL},  {ANY, EFAULT}, {ANY, ENOSYS},
                 {ANY, EPERM}, {ANY, EACCES}, {ANY, ENOTSUP}, {0, 0}};
LIST(waited) = {{ANY, EINTR}, {ANY, EBADF}, {ANY, EINVAL}, {ANY, EFAULT}, {0, 0}};
LIST(reading) = {{ANY, EAGAIN},
                 {ANY, EINTR},
                 {THEIRS, EBADF},
                 {THEIRS, EFAULT},
                 {THEIRS, EINVAL},
                 {THEIRS, EIO},
                 {THEIRS, EISDIR},
                 {SOCKET, ECONNREFUSED},
                 {SOCKET, ECONNRESET},
                 {SOCKET, ENOMEM},
                 {SOCKET, ENOTCONN},
                 {SOCKET, ETIMEDOUT},
                 {COUNTER, ECANCELED}, /* timerfd_create(2): the clock was set */
                 {0, 0}};
/* A write of the loop's own: EAGAIN, when the counter of its eventfd is full. */
LIST(writing) = {{ANY, EAGAIN},
                 {THEIRS, EINTR},
                 {THEIRS, EBADF},
                 {THEIRS, EDESTADDRREQ},
                 {THEIRS, EDQUOT},
                 {THEIRS, EFAULT},
                 {THEIRS, EFBIG},
                 {THEIRS, EINVAL},
                 {THEIRS, EIO},
                 {THEIRS, ENOSPC},
                 {THEIRS, EPERM},
                 {THEIRS, EPIPE},
                 {SOCKET, ENOBUFS},
                 {SOCKET, ECONNRESET},
                 {SOCKET, ENOTCONN},
                 {SOCKET, EMSGSIZE},
                 {0, 0}};
LIST(positioned_read) = {{ANY, EAGAIN},    {ANY, EINTR},  {ANY, EBADF},  {ANY, EFAULT},
                         {ANY, EINVAL},    {ANY, EIO},    {ANY, EISDIR}, {ANY, ENXIO},
                         {ANY, EOVERFLOW}, {ANY, ESPIPE}, {0, 0}};
LIST(positioned_write) = {{ANY, EAGAIN}, {ANY, EINTR},  {ANY, EBADF},  {ANY, EDESTADDRREQ},
                          {ANY, EDQUOT}, {ANY, EFAULT}, {ANY, EFBIG},  {ANY, EINVAL},
                          {ANY, EIO},    {ANY, ENOSPC}, {ANY, ENXIO},  {ANY, EOVERFLOW},
                          {ANY, EPERM},  {ANY, EPIPE},  {ANY, ESPIPE}, {0, 0}};
LIST(sending) = {{SOCKET, EACCES},
                 {SOCKET, EAGAIN},
                 {SOCKET, EALREADY},
                 {SOCKET, EBADF},
                 {SOCKET, ECONNRESET},
                 {SOCKET, EDESTADDRREQ},
                 {SOCKET, EFAULT},
                 {SOCKET, EINTR},
                 {SOCKET, EINVAL},
                 {SOCKET, EISCONN},
                 {SOCKET, EMSGSIZE},
                 {SOCKET, ENOBUFS},
                 {SOCKET, ENOMEM},
                 {SOCKET, ENOTCONN},
                 {SOCKET, EOPNOTSUPP},
                 {SOCKET, EPIPE},
                 {0, 0}};
LIST(receiving) = {{SOCKET, EAGAIN},
                   {SOCKET, EBADF},
                   {SOCKET, ECONNREFUSED},
                   {SOCKET, ECONNRESET},
                   {SOCKET, EFAULT},
                   {SOCKET, EINTR},
                   {SOCKET, EINVAL},
                   {SOCKET, ENOMEM},
                   {SOCKET, ENOTCONN},
                   {SOCKET, ETIMEDOUT},
                   {0, 0}};
LIST(accepting) = {{SOCKET, EAGAIN},          {SOCKET, EBADF},      {SOCKET, ECONNABORTED},
                   {SOCKET, EFAULT},          {SOCKET, EINTR},      {SOCKET, EINVAL},
                   {SOCKET, EMFILE},          {SOCKET, ENFILE},     {SOCKET, ENOBUFS},
                   {SOCKET, ENOMEM},          {SOCKET, EOPNOTSUPP}, {SOCKET, EPERM},
                   {SOCKET, EPROTO},          {SOCKET, ENETDOWN},   {SOCKET, ENOPROTOOPT},
                   {SOCKET, EHOSTDOWN},       {SOCKET, ENONET},     {SOCKET, EHOSTUNREACH},
                   {SOCKET, ENETUNREACH},     {SOCKET, ENOSR},      {SOCKET, ESOCKTNOSUPPORT},
                   {SOCKET, EPROTONOSUPPORT}, {SOCKET, ETIMEDOUT},  {0, 0}};
LIST(connecting) = {{SOCKET, EACCES},
                    {SOCKET, EPERM},
                    {SOCKET, EADDRINUSE},
                    {SOCKET, EADDRNOTAVAIL},
                    {SOCKET, EAFNOSUPPORT},
                    {SOCKET, EAGAIN},
                    {SOCKET, EALREADY},
                    {SOCKET, EBADF},
                    {SOCKET, ECONNREFUSED},
                    {SOCKET, EFAULT},
                    {SOCKET, EINPROGRESS},
                    {SOCKET, EINTR},
                    {SOCKET, EISCONN},
                    {SOCKET, ENETUNREACH},
                    {SOCKET, EPROTOTYPE},
                    {SOCKET, ETIMEDOUT},
                    {0, 0}};
LIST(option) = {{SOCKET, EBADF}, {SOCKET, EFAULT}, {SOCKET, EINVAL}, {SOCKET, ENOPROTOOPT}, {0, 0}};
LIST(named) = {{SOCKET, EBADF},   {SOCKET, EFAULT},   {SOCKET, EINVAL},
               {SOCKET, ENOBUFS}, {SOCKET, ENOTCONN}, {0, 0}};
LIST(shutting) = {{SOCKET, EBADF}, {SOCKET, EINVAL}, {SOCKET, ENOTCONN}, {0, 0}};
/* EINVAL and EPERM are for attributes that the pool does not set */
LIST(created) = {{ANY, EAGAIN}, {0, 0}};
LIST(closing) = {{ANY, EINTR}, {ANY, EIO}, {REGULAR, ENOSPC}, {REGULAR, EDQUOT}, {0, 0}};

static const struct {
    const char *name; /* of the system call: calls of one name fail together in TORTURE_SAME */
    const struct possible *possible;
} table[WORLD_CALLS] = {
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    [WORLD_CALL_##name] = {#name, errors},
#define PART(name, words, errors) [WORLD_CALL_##name] = {words, errors},
#include "../world/calls.def"
};

static struct torture_setting chosen;
static uint64_t points;
static struct torture_point met[TORTURE_POINTS_MAX];

uint64_t torture_points(void) {
    return points;
}

const struct torture_point *torture_point(uint64_t point) {
    return point > 0 && point <= points && point <= TORTURE_POINTS_MAX ? &met[point - 1] : NULL;
}

const char *torture_call_name(unsigned call) {
    return call < WORLD_CALLS ? table[call].name : "unknown";
}

const char *torture_mode_name(unsigned mode) {
    static const char *const names[TORTURE_MODES] = {"once", "same", "on"};
    return mode < TORTURE_MODES ? names[mode] : "unknown";
}

static unsigned files(const struct torture_point *point) {
    static const uint8_t of[] = {[WORLD_FILE_NONE] = NO_FILE,
                                 [WORLD_FILE_PIPE] = PIPE,
                                 [WORLD_FILE_SOCKET] = SOCKET,
                                 [WORLD_FILE_COUNTER] = COUNTER,
                                 [WORLD_FILE_REGULAR] = REGULAR};
    return point->own ? OWN : of[point->file];
}

unsigned torture_errors(const struct torture_point *point, int error[TORTURE_ERRORS_MAX]) {
    unsigned count = 0;
    for (const struct possible *p = table[point->call].possible; p->files != 0; p++)
        if ((p->files & files(point)) != 0 && count < TORTURE_ERRORS_MAX)
            error[count++] = p->error;
    return count;
}

static unsigned family(unsigned call) {
    return call == WORLD_CALL_epoll_ctl_modify || call == WORLD_CALL_epoll_ctl_remove
               ? WORLD_CALL_epoll_ctl_add
               : call;
}

/* The errno for a call after the chosen one, or 0. */
static int later_failure(const struct torture_point *now, const int *error, unsigned count) {
    if (chosen.mode == TORTURE_ONCE || chosen.point > TORTURE_POINTS_MAX)
        return 0;
    if (chosen.mode == TORTURE_SAME && family(now->call) != family(met[chosen.point - 1].call))
        return 0;
    if (chosen.mode == TORTURE_SAME && now->own != met[chosen.point - 1].own)
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (error[i] == chosen.error)
            return chosen.error;
    return chosen.mode == TORTURE_ON ? error[points % count] : 0;
}

static void begun(void) {
    points = 0;
}

static int fails(enum world_call call, enum world_file file, bool own) {
    int error[TORTURE_ERRORS_MAX];
    struct torture_point now = {.call = (uint8_t)call, .file = (uint8_t)file, .own = own};
    unsigned count = torture_errors(&now, error);
    if (count == 0)
        return 0;
    if (points++ < TORTURE_POINTS_MAX)
        met[points - 1] = now;
    if (chosen.point == 0 || points < chosen.point)
        return 0;
    int failure = points == chosen.point ? chosen.error : later_failure(&now, error, count);
    if (failure != 0)
        /* a close is never why an init fails */
        lockstep_disturbed(call == WORLD_CALL_close ? 0 : failure);
    return failure;
}

static const struct world_failures torture = {.begun = begun, .fails = fails};

void torture_set(const struct torture_setting *setting) {
    world_failures = setting != NULL ? &torture : NULL;
    if (setting != NULL)
        chosen = *setting;
}
