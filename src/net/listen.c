/* SPDX-License-Identifier: Apache-2.0 */
/* Listening, and the acceptor: one thread that takes connections and gives them to the loops in
 * turn. (Round robin halves the p99 at 256 connections against SO_REUSEPORT.) */
#include "net/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/unix_path.h"

enum { BACKLOG = 1024, ACCEPT_PAUSE_MS = 20 };

static gy_status bind_failed(int errnum, const char *what, int port, struct gy_err *err)
{
    if (errnum == EADDRINUSE) {
        (void)gy_err_set(err, GY_E_NETWORK, "%s port %d: address already in use", what, port);
        return gy_err_hint(err, "another server runs there; choose another --port, or 0 for any");
    }
    gy_status code = errnum == EACCES ? GY_E_DENIED : GY_E_NETWORK;
    return gy_err_set(err, code, "can not listen on %s port %d: %s", what, port, strerror(errnum));
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = {.v6 = {0}};
    socklen_t n = sizeof at;
    if (getsockname(fd, &at.any, &n) != 0) {
        return 0;
    }
    return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
}

gy_status gy_listen_tcp(const char *host, int port, int *ret_fd, int *ret_port, struct gy_err *err)
{
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    (void)snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed) {
        return gy_err_set(err, GY_E_INVALID, "no address for '%s': %s", host, gai_strerror(failed));
    }
    int errnum = EADDRNOTAVAIL, fd = -1;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        int one = 1;
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            errnum = errno;
            continue;
        }
        /* Accepted sockets inherit TCP_NODELAY. Neither option is needed to be correct. */
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
            errnum = errno;
            (void)close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0) {
        return bind_failed(errnum, host, port, err);
    }
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return GY_OK;
}

static int bind_unix(int fd, const struct sockaddr_un *at)
{
    (void)unlink(at->sun_path); /* of a server that died; the caller holds the home's lock */
    mode_t old = umask(0177);
    int failed = bind(fd, (const struct sockaddr *)at, sizeof *at) == 0 ? 0 : errno;
    (void)umask(old);
    return failed ? failed : listen(fd, BACKLOG) == 0 ? 0 : errno;
}

gy_status gy_listen_unix(const char *path, int *ret_fd, struct gy_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int dir_fd;
    GY_TRY(gy_unix_path(path, at.sun_path, &dir_fd, err));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int failed = fd < 0 ? errno : bind_unix(fd, &at);
    if (dir_fd >= 0) {
        (void)close(dir_fd);
    }
    if (failed) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return gy_err_sys(err, failed, "listening on %s", path);
    }
    *ret_fd = fd;
    return GY_OK;
}

/* ---- the acceptor ---- */

static void name_of_peer(int fd, char actor[GY_NET_MAX_ACTOR])
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    struct passwd entry, *found = NULL;
    char strings[4096];
    (void)snprintf(actor, GY_NET_MAX_ACTOR, "anonymous");
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0) {
        return;
    }
    if (getpwuid_r(peer.uid, &entry, strings, sizeof strings, &found) == 0 && found) {
        (void)snprintf(actor, GY_NET_MAX_ACTOR, "%s", found->pw_name);
    } else {
        (void)snprintf(actor, GY_NET_MAX_ACTOR, "uid:%u", (unsigned)peer.uid);
    }
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: let one caller go at once rather than spin on a queue that never empties. */
static bool turn_away(struct gy_server *s, int listen_fd)
{
    if (s->spare_fd >= 0) {
        (void)close(s->spare_fd);
    }
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)close(fd);
        atomic_fetch_add(&s->n_turned_away, 1);
    }
    s->spare_fd = open_spare();
    return fd >= 0;
}

/* The kernel refuses for now (no descriptors at all, no memory): the caller still waits, so that
 * poll would return at once for ever. */
static void pause_accepting(struct gy_server *s)
{
    struct pollfd wake = {.fd = s->wake_fds[0], .events = POLLIN};
    (void)poll(&wake, 1, ACCEPT_PAUSE_MS);
}

/* The numeric address of the peer; empty when it is already gone. */
static void address_of_peer(int fd, char address[GY_NET_MAX_ADDRESS])
{
    union {
        struct sockaddr any;
        struct sockaddr_storage space;
    } at = {.space = {0}};
    socklen_t n = sizeof at;
    char text[NI_MAXHOST];
    address[0] = '\0';
    if (getpeername(fd, &at.any, &n) == 0 &&
        getnameinfo(&at.any, n, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0) {
        (void)snprintf(address, GY_NET_MAX_ADDRESS, "%s", text);
    }
}

/* listen_fd: where it came in. */
static void take(struct gy_server *s, int listen_fd, int fd, enum gy_peer_kind peer, unsigned *turn)
{
    int64_t open_now = atomic_load(&s->n_open);
    bool refuse = open_now >= s->o.max_connections;
    struct gy_accepted *a = NULL;
    if (open_now < s->o.max_connections + GY_NET_REFUSAL_CONNS) {
        a = gy_calloc(1, sizeof *a);
    }
    if (!a) {
        (void)close(fd);
        atomic_fetch_add(&s->n_turned_away, 1);
        return;
    }
    a->fd = fd;
    a->peer = peer;
    a->inference_port = listen_fd == s->inference_fd;
    a->refuse = refuse;
    if (peer == GY_PEER_UNIX) {
        name_of_peer(fd, a->actor);
    } else {
        (void)snprintf(a->actor, sizeof a->actor, "anonymous");
        address_of_peer(fd, a->address);
    }
    atomic_fetch_add(&s->n_open, 1);
    atomic_fetch_add(&s->n_accepted, 1);
    gy_net_loop_give(&s->loops[(*turn)++ % (unsigned)s->n_loops], a);
}

/* All that wait, so that one wake-up of poll serves a burst. */
static void drain_queue(struct gy_server *s, int listen_fd, enum gy_peer_kind peer, unsigned *turn)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(s, listen_fd, fd, peer, turn);
        } else if (errno == EMFILE || errno == ENFILE) {
            if (!turn_away(s, listen_fd)) {
                pause_accepting(s);
                return;
            }
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            pause_accepting(s);
            return;
        }
    }
}

void *gy_accept_loop(void *arg)
{
    struct gy_server *s = arg;
    unsigned turn = 0;
    bool ending = false;
    struct pollfd fds[4] = {{.fd = s->wake_fds[0], .events = POLLIN},
                            {.fd = s->listen_fd, .events = POLLIN},
                            {.fd = s->unix_fd, .events = POLLIN}, /* a negative fd is skipped */
                            {.fd = s->inference_fd, .events = POLLIN}};
    (void)pthread_setname_np(pthread_self(), "accept");
    while (!ending) {
        if (poll(fds, 4, -1) < 0 && errno != EINTR) {
            break; /* only for programmer errors: EFAULT, EINVAL */
        }
        if (s->spare_fd < 0) {
            s->spare_fd = open_spare();
        }
        ending = fds[0].revents != 0;
        if (fds[1].fd >= 0 &&
            (fds[1].revents || ending)) { /* what waits was accepted by the kernel */
            drain_queue(s, s->listen_fd, GY_PEER_TCP, &turn);
        }
        if (fds[2].fd >= 0 && (fds[2].revents || ending)) {
            drain_queue(s, s->unix_fd, GY_PEER_UNIX, &turn);
        }
        if (fds[3].fd >= 0 && (fds[3].revents || ending)) {
            drain_queue(s, s->inference_fd, GY_PEER_TCP, &turn);
        }
    }
    return NULL;
}
