/* SPDX-License-Identifier: MIT */
/* Boost.Asio, ET-OP-1: a connection to a Unix socket whose queue is full is answered EAGAIN by
 * connect(2), and ENOBUFS by async_connect.
 *
 * Build: -std=c++17 */
#include <cerrno>
#include <cstdio>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio.hpp>

namespace asio = boost::asio;
using local = asio::local::stream_protocol;

int main() {
    asio::io_context context;
    std::string name("\0etalon-", 8);
    local::endpoint at(name + std::to_string(getpid()));
    local::acceptor listener(context);
    listener.open();
    listener.bind(at);
    listener.listen(0);
    local::socket queued(context), refused(context);
    queued.connect(at);
    int plain = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int answer = connect(plain, at.data(), static_cast<socklen_t>(at.size())) == 0 ? 0 : errno;
    int seen = 0;
    refused.async_connect(at,
                          [&](const boost::system::error_code &error) { seen = error.value(); });
    context.run_for(std::chrono::seconds(2));
    std::printf("expected: what connect(2) says, %d; seen: %d\n", answer, seen);
    return answer == EAGAIN && seen == ENOBUFS ? 0 : 1;
}
