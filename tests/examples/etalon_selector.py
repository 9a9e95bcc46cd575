# SPDX-License-Identifier: MIT
"""CPython's selectors on Etalon, by ctypes: each file object is a poll, which is added again before
the next wait, as a selector is level-triggered. `make peers` runs CPython's own tests with it.

    selectors.DefaultSelector = etalon_selector.EtalonSelector

ETALON_LIBRARY names the library, which tests/suites/peers.py builds: with selector_sizes.c."""
import ctypes
import errno
import math
import os
import select
import selectors
import time

_library = ctypes.CDLL(os.environ.get("ETALON_LIBRARY", "build/peers/libetalon.so"))
_LOOP_BYTES, _COMPLETION_BYTES, _POLL_OFFSET = (
    ctypes.c_size_t.in_dll(_library, "selector_" + name).value
    for name in ("loop_bytes", "completion_bytes", "poll_offset"))
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                             ctypes.c_void_p)
_library.et_loop_timer_reset.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
                                         ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p]
_ET_POLL = 4
_ET_RUN_NO_WAIT, _ET_RUN_TURN = 0, 3
_REPORTS_MAX = 256  # of one wait; what more is ready is reported by the next
_HOUR_MS = 3600000


class _Completion(ctypes.Structure):
    """The head of struct et_completion, as etalon.h has it."""
    _fields_ = [("operation", ctypes.c_uint8), ("on_pool", ctypes.c_bool), ("fd", ctypes.c_int),
                ("callback", _CALLBACK), ("userdata", ctypes.c_void_p)]


def _checked(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))


class EtalonSelector(selectors._BaseSelectorImpl):
    def __init__(self):
        super().__init__()
        self._loop = ctypes.create_string_buffer(_LOOP_BYTES)
        _checked(_library.et_loop_init(self._loop, None))
        self._open = True
        self._timer = ctypes.create_string_buffer(_COMPLETION_BYTES)
        self._callback = _CALLBACK(self._called)
        self._polls = {}    # by descriptor: the memory of its completion
        self._results = {}  # of the polls that have ended and are not added again yet
        self._leaving = []  # deleted: the loop's until a round has passed

    def register(self, fileobj, events, data=None):
        key = super().register(fileobj, events, data)
        poll = ctypes.create_string_buffer(_COMPLETION_BYTES)
        head = _Completion.from_buffer(poll)
        head.operation, head.fd, head.callback, head.userdata = (_ET_POLL, key.fd, self._callback,
                                                                 key.fd)
        asked = ((select.POLLIN if events & selectors.EVENT_READ else 0) |
                 (select.POLLOUT if events & selectors.EVENT_WRITE else 0))
        ctypes.c_uint32.from_buffer(poll, _POLL_OFFSET).value = asked
        _checked(_library.et_loop_add(self._loop, poll))
        self._polls[key.fd] = poll
        return key

    def unregister(self, fileobj):
        key = super().unregister(fileobj)
        poll = self._polls.pop(key.fd)
        self._results.pop(key.fd, None)
        _checked(_library.et_loop_delete(self._loop, poll))
        self._leaving.append(poll)
        return key

    def _called(self, loop, completion, result, fd):
        self._results[fd or 0] = result
        return 0  # ET_DISARM: what it is reported for now is reported once, however many are ready

    def _run(self, mode):
        _checked(_library.et_loop_run(self._loop, mode))
        self._leaving.clear()

    def select(self, timeout=None):
        for fd, result in list(self._results.items()):
            del self._results[fd]
            if result != -errno.EBADF:  # it was closed, as epoll forgets it
                _checked(_library.et_loop_add(self._loop, self._polls[fd]))
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        mode = _ET_RUN_TURN if timeout is None or timeout > 0 else _ET_RUN_NO_WAIT
        while True:
            left_ms = min(_HOUR_MS, max(0, (deadline - time.monotonic()) * 1000))
            if mode == _ET_RUN_TURN:
                _library.et_loop_update_now(self._loop)
                _checked(_library.et_loop_timer_reset(self._loop, self._timer, None,
                                                      math.ceil(left_ms), None, None))
            seen = len(self._results)
            self._run(mode)  # on the return from which Python runs the handlers of signals
            while len(self._results) - seen >= _REPORTS_MAX:
                seen = len(self._results)
                self._run(_ET_RUN_NO_WAIT)
            if self._results or time.monotonic() >= deadline or mode == _ET_RUN_NO_WAIT:
                return self._ready()

    def _ready(self):
        ready = []
        for fd, result in self._results.items():
            key = self._key_from_fd(fd)
            if result == -errno.EPERM:  # a regular file, which is always ready
                result = select.POLLIN | select.POLLOUT
            events = ((selectors.EVENT_READ if result & ~select.POLLOUT else 0) |
                      (selectors.EVENT_WRITE if result & ~select.POLLIN else 0))
            if key and result > 0 and events & key.events:
                ready.append((key, events & key.events))
        return ready

    def close(self):
        if self._open:
            self._open = False
            _checked(_library.et_loop_deinit(self._loop))
        super().close()

    def __del__(self):
        if getattr(self, "_open", False):
            self.close()
