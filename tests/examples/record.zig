// SPDX-License-Identifier: MIT
//! How a program in Zig records what its event loop does, for `etalon judge`: spec/trace-format.md,
//! section 3. (Zig 0.11; `zig run record.zig > FILE.ndjson`.) The loop here is a toy with timers
//! only, and what matters is `Recorder`: with a loop such as libxev, call it where the program
//! adds, cancels and deletes completions, first and last thing in each callback, and around each
//! tick. Here a completion's number is its address.
const std = @import("std");

pub const Recorder = struct {
    out: std.io.BufferedWriter(4096, std.fs.File.Writer),

    /// Nothing of time, states, waits or readiness is observed: only calls and callbacks are
    /// judged.
    pub fn init(file: std.fs.File, subject: []const u8) !Recorder {
        var self = Recorder{ .out = .{ .unbuffered_writer = file.writer() } };
        try self.line("{{\"etalon-recording\":1,\"subject\":\"{s}\",\"observes\":[]}}", .{subject});
        return self;
    }

    fn line(self: *Recorder, comptime format: []const u8, values: anytype) !void {
        try self.out.writer().print(format ++ "\n", values);
    }

    pub fn addTimer(self: *Recorder, c: anytype, delay_ms: u64, result: i32) !void {
        try self.line(
            "{{\"call\":\"add\",\"c\":{d},\"op\":\"timer\",\"delay_ms\":{d},\"returns\":{d}}}",
            .{ @intFromPtr(c), delay_ms, result },
        );
    }

    pub fn delete(self: *Recorder, c: anytype, result: i32) !void {
        try self.line(
            "{{\"call\":\"delete\",\"c\":{d},\"returns\":{d}}}",
            .{ @intFromPtr(c), result },
        );
    }

    pub fn callback(self: *Recorder, c: anytype, result: i64) !void {
        try self.line("{{\"callback\":{d},\"result\":{d}}}", .{ @intFromPtr(c), result });
    }

    /// A callback that rearms says what is added again.
    pub fn returned(self: *Recorder, c: anytype, rearm_delay_ms: ?u64) !void {
        if (rearm_delay_ms) |delay_ms| {
            try self.line(
                "{{\"returned\":{d},\"action\":\"rearm\",\"op\":\"timer\",\"delay_ms\":{d}}}",
                .{ @intFromPtr(c), delay_ms },
            );
        } else {
            try self.line("{{\"returned\":{d},\"action\":\"disarm\"}}", .{@intFromPtr(c)});
        }
    }

    pub fn tickBegins(self: *Recorder, callbacks: u32) !void {
        try self.line("{{\"call\":\"tick\",\"callbacks\":{d}}}", .{callbacks});
    }

    pub fn tickEnded(self: *Recorder, result: i32) !void {
        try self.line("{{\"end\":\"tick\",\"returns\":{d}}}", .{result});
    }
};

/// The toy: timers in virtual time, kept in a list.
const Timer = struct { deadline_ms: u64, delay_ms: u64, fires: u32, active: bool = false };

const Loop = struct {
    now_ms: u64 = 0,
    timers: []Timer,
    recorder: *Recorder,

    fn add(self: *Loop, timer: *Timer) !void {
        timer.deadline_ms = self.now_ms + timer.delay_ms;
        timer.active = true;
        try self.recorder.addTimer(timer, timer.delay_ms, 0);
    }

    fn delete(self: *Loop, timer: *Timer) !void {
        timer.active = false;
        try self.recorder.delete(timer, 0);
    }

    /// Lets the earliest timer fire.
    fn tick(self: *Loop) !void {
        try self.recorder.tickBegins(1);
        var first: ?*Timer = null;
        for (self.timers) |*timer| {
            if (timer.active and (first == null or timer.deadline_ms < first.?.deadline_ms))
                first = timer;
        }
        if (first) |timer| {
            self.now_ms = timer.deadline_ms;
            timer.active = false;
            try self.recorder.callback(timer, 0);
            timer.fires -= 1;
            if (timer.fires > 0) {
                timer.deadline_ms = self.now_ms + timer.delay_ms;
                timer.active = true;
            }
            try self.recorder.returned(timer, if (timer.active) timer.delay_ms else null);
        }
        try self.recorder.tickEnded(0);
    }
};

pub fn main() !void {
    var recorder = try Recorder.init(std.io.getStdOut(), "a toy in Zig");
    var timers = [_]Timer{
        .{ .deadline_ms = 0, .delay_ms = 10, .fires = 3 },
        .{ .deadline_ms = 0, .delay_ms = 15, .fires = 2 },
        .{ .deadline_ms = 0, .delay_ms = 1000, .fires = 1 },
    };
    var loop = Loop{ .timers = &timers, .recorder = &recorder };
    for (&timers) |*timer| try loop.add(timer);
    for (0..5) |_| try loop.tick();
    try loop.delete(&timers[2]);
    try loop.tick();
    try recorder.out.flush();
}
