/* SPDX-License-Identifier: MIT */
/* Boost.Asio, ET-EVENT-6: a report of a descriptor that a handler has closed ends a wait on another
 * one, which takes its place and is not ready.
 *
 * Build: -std=c++17 */
#include <array>
#include <cstdio>
#include <poll.h>
#include <unistd.h>

#include <boost/asio.hpp>

namespace asio = boost::asio;
using descriptor = asio::posix::stream_descriptor;

int main() {
    std::array<int, 2> first = {}, second = {}, third = {};
    if (pipe(first.data()) != 0 || pipe(second.data()) != 0 || pipe(third.data()) != 0)
        return 2;
    asio::io_context context;
    descriptor a(context, first[0]), b(context, second[0]), c(context);
    bool called = false;
    a.async_wait(descriptor::wait_read, [&](const boost::system::error_code &) {
        b.close();
        c.assign(third[0]);
        c.async_wait(descriptor::wait_read,
                     [&](const boost::system::error_code &error) { called = !error; });
    });
    b.async_wait(descriptor::wait_read, [](const boost::system::error_code &) {});
    if (write(first[1], "x", 1) != 1 || write(second[1], "x", 1) != 1)
        return 2;
    context.poll();
    struct pollfd third_is = {third[0], POLLIN, 0};
    int ready = poll(&third_is, 1, 0);
    std::printf("expected: the wait on an empty pipe goes on; seen: %s, and poll says %d\n",
                called ? "it has ended without an error" : "it goes on", ready);
    return called && ready == 0 ? 0 : 1;
}
