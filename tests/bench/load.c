/* SPDX-License-Identifier: Apache-2.0 */
/* A small load client: N keep-alive connections, one request under way on each, one thread.
 *
 *     load PORT CONNECTIONS SECONDS PATH [BODY-FILE [RATE [HEADER...]]]
 *
 * Prints one JSON line. Without a rate (or 0) a closed loop: it measures CPU per request and
 * throughput honestly, latency only at the load that it makes itself. With a rate an open loop:
 * requests are due at fixed times, whatever became of those before, and latency counts from when a
 * request was due, also while it waits for a free connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNS = 4096, BUF = 65536, BUCKETS = 200000, BUCKET_US = 5, MAX_BODY = 16 << 20 };

struct conn {
    int fd;
    int waits; /* for an answer */
    size_t n, capacity, written;
    int64_t sent_ns;
    char *buf;
};

static char *g_request;
static size_t g_request_n;
static uint64_t g_done, g_non_2xx, g_errors, g_buckets[BUCKETS];

/* Decimal digits after blanks; neither program is worth linking the base room for. */
static long number(const char *p)
{
    long v = 0;
    while (*p == ' ') {
        p++;
    }
    for (; *p >= '0' && *p <= '9' && v < 1000000000; p++) {
        v = v * 10 + (*p - '0');
    }
    return v;
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What the socket does not take now follows when it has room. 0: all right. */
static int send_more(struct conn *c, int ep)
{
    ssize_t n = 0;
    while (c->written < g_request_n &&
           (n = write(c->fd, g_request + c->written, g_request_n - c->written)) > 0) {
        c->written += (size_t)n;
    }
    if (n < 0 && errno != EAGAIN) {
        return -1;
    }
    struct epoll_event e = {.events = c->written < g_request_n ? EPOLLIN | EPOLLOUT : EPOLLIN,
                            .data.ptr = c};
    return g_request_n > BUF / 2 ? epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e) : 0;
}

static int send_one(struct conn *c, int64_t due_ns, int ep)
{
    c->n = c->written = 0;
    c->waits = 1;
    c->sent_ns = due_ns;
    return send_more(c, ep);
}

/* 1: a whole answer is here; 0: not yet; -1: not HTTP. */
static int whole_answer(const struct conn *c, int *ret_status)
{
    const char *end = memmem(c->buf, c->n, "\r\n\r\n", 4);
    if (!end) {
        return 0;
    }
    long length = -1;
    for (const char *h = memmem(c->buf, c->n, "\r\n", 2); h && h < end;
         h = memmem(h, (size_t)(end + 2 - h), "\r\n", 2)) {
        h += 2;
        if (strncasecmp(h, "content-length:", 15) == 0) {
            length = number(h + 15);
        }
    }
    if (length < 0 || memcmp(c->buf, "HTTP/1.1 ", 9) != 0) {
        return -1;
    }
    *ret_status = (int)number(c->buf + 9);
    return (long)c->n >= end + 4 - c->buf + length;
}

static void note(const struct conn *c, int status)
{
    int64_t us = (now_ns() - c->sent_ns) / 1000, bucket = us / BUCKET_US;
    g_done++;
    g_non_2xx += status < 200 || status > 299;
    g_buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double percentile(double share)
{
    uint64_t wanted = (uint64_t)((double)g_done * share), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += g_buckets[i];
        if (seen > wanted) {
            return (i + 0.5) * BUCKET_US;
        }
    }
    return (double)BUCKETS * BUCKET_US;
}

static int make_request(const char *path, const char *body_file, char **headers, int n_headers)
{
    char *body = malloc(MAX_BODY);
    size_t n = 0;
    g_request = malloc(MAX_BODY + BUF);
    if (!body || !g_request) {
        return -1;
    }
    if (body_file) {
        FILE *f = fopen(body_file, "rb");
        if (!f) {
            perror(body_file);
            return -1;
        }
        n = fread(body, 1, MAX_BODY, f);
        (void)fclose(f);
    }
    int json = 1;
    int k = snprintf(g_request, BUF,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\nAccept: */*\r\n"
                     "Content-Length: %zu\r\n",
                     body_file ? "POST" : "GET", path, n);
    for (int i = 0; i < n_headers && k > 0 && k < BUF; i++) {
        json = json && strncasecmp(headers[i], "content-type:", 13) != 0;
        k += snprintf(g_request + k, (size_t)(BUF - k), "%s\r\n", headers[i]);
    }
    if (k > 0 && k < BUF) {
        k += snprintf(g_request + k, (size_t)(BUF - k), "%s\r\n",
                      json ? "Content-Type: application/json\r\n" : "");
    }
    if (k < 0 || k >= BUF) {
        return -1;
    }
    memcpy(g_request + k, body, n);
    g_request_n = (size_t)k + n;
    free(body);
    return 0;
}

static int open_conn(struct conn *c, int port, int ep)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        perror("load");
        return -1;
    }
    return 0;
}

static int make_room(struct conn *c)
{
    if (c->n < c->capacity) {
        return 1;
    }
    size_t more = c->capacity ? 2 * c->capacity : BUF;
    char *buf = realloc(c->buf, more);
    if (!buf) {
        return 0;
    }
    c->buf = buf;
    c->capacity = more;
    return 1;
}

/* -1: the connection is of no more use; 1: it is free. */
static int advance(struct conn *c)
{
    int status = 0;
    for (;;) {
        if (!make_room(c)) {
            return -1;
        }
        ssize_t got = read(c->fd, c->buf + c->n, c->capacity - c->n);
        if (got < 0 && errno == EAGAIN) {
            return 0;
        }
        if (got <= 0) {
            return -1;
        }
        c->n += (size_t)got;
        int whole = whole_answer(c, &status);
        if (whole) {
            if (whole > 0) {
                note(c, status);
                c->waits = 0;
            }
            return whole;
        }
    }
}

static struct conn g_conns[MAX_CONNS];
static int g_n_conns, g_alive;

static void lost(struct conn *c)
{
    g_errors++;
    g_alive--;
    c->waits = 1; /* never free again */
    (void)close(c->fd);
}

static struct conn *free_conn(void)
{
    static int last;
    for (int i = 0; i < g_n_conns; i++) {
        last = (last + 1) % g_n_conns;
        if (!g_conns[last].waits) {
            return &g_conns[last];
        }
    }
    return NULL;
}

/* All that is due and finds a connection. Returns how long to wait for the next, ms. */
static int send_due(int64_t begin, double step_ns, uint64_t *sent, int ep)
{
    for (;;) {
        int64_t due = begin + (int64_t)((double)*sent * step_ns), left = due - now_ns();
        if (left > 0) {
            return left > 1500000 ? (int)(left / 1000000) : 0;
        }
        struct conn *c = free_conn();
        if (!c) {
            return 1;
        }
        (*sent)++;
        if (send_one(c, due, ep) != 0) {
            lost(c);
        }
    }
}

static void on_event(struct conn *c, uint32_t events, int open_loop, int ep)
{
    if ((events & EPOLLOUT) && send_more(c, ep) != 0) {
        lost(c);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        return;
    }
    int got = advance(c);
    if (got < 0 || (got > 0 && !open_loop && send_one(c, now_ns(), ep) != 0)) {
        lost(c);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        (void)fprintf(stderr,
                      "load PORT CONNECTIONS SECONDS PATH [BODY-FILE [RATE [HEADER...]]]\n");
        return 2;
    }
    int port = (int)number(argv[1]);
    g_n_conns = (int)number(argv[2]);
    double seconds = strtod(argv[3], NULL), rate = argc > 6 ? strtod(argv[6], NULL) : 0;
    int ep = epoll_create1(0), open_loop = rate > 0;
    uint64_t sent = 0;
    if (g_n_conns < 1 || g_n_conns > MAX_CONNS ||
        make_request(argv[4], argc > 5 ? argv[5] : NULL, argv + 7, argc > 7 ? argc - 7 : 0) != 0) {
        return 2;
    }
    for (; g_alive < g_n_conns; g_alive++) {
        struct conn *c = &g_conns[g_alive];
        if (open_conn(c, port, ep) != 0 || (!open_loop && send_one(c, now_ns(), ep) != 0)) {
            return 1;
        }
    }
    int64_t begin = now_ns(), end = begin + (int64_t)(seconds * 1e9);
    while (g_alive && now_ns() < end) {
        struct epoll_event events[256];
        int wait_ms = open_loop ? send_due(begin, 1e9 / rate, &sent, ep) : 100;
        int n = epoll_wait(ep, events, 256, wait_ms);
        for (int i = 0; i < n; i++) {
            on_event(events[i].data.ptr, events[i].events, open_loop, ep);
        }
    }
    double took = (double)(now_ns() - begin) / 1e9;
    (void)printf(
        "{\"requests\":%llu,\"sent\":%llu,\"non_2xx\":%llu,\"errors\":%llu,\"seconds\":%.3f,"
        "\"per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f}\n",
        (unsigned long long)g_done, (unsigned long long)sent, (unsigned long long)g_non_2xx,
        (unsigned long long)g_errors, took, (double)g_done / took, percentile(0.5),
        percentile(0.99), percentile(0.999));
    return g_done && !g_errors ? 0 : 1;
}
