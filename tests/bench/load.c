/* SPDX-License-Identifier: Apache-2.0 */
/* A small load client: N keep-alive connections, one request under way on each, one thread.
 *
 *     load PORT CONNECTIONS SECONDS PATH [BODY-FILE]
 *
 * Prints one JSON line. Closed loop: it measures CPU per request and throughput honestly, latency
 * only at the load that it makes itself. */
#include <arpa/inet.h>
#include <errno.h>
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

enum { MAX_CONNS = 4096, BUF = 65536, BUCKETS = 4096, BUCKET_US = 5 };

struct conn {
    int fd;
    size_t n;
    int64_t sent_ns;
    char buf[BUF];
};

static char g_request[BUF];
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

static int send_one(struct conn *c)
{
    c->n = 0;
    c->sent_ns = now_ns();
    return write(c->fd, g_request, g_request_n) == (ssize_t)g_request_n ? 0 : -1;
}

/* 1: a whole answer is here; 0: not yet; -1: not HTTP. */
static int whole_answer(const struct conn *c, int *ret_status)
{
    const char *end = memmem(c->buf, c->n, "\r\n\r\n", 4);
    if (!end) {
        return c->n == BUF ? -1 : 0;
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

static int make_request(const char *path, const char *body_file)
{
    char body[BUF / 2];
    size_t n = 0;
    if (body_file) {
        FILE *f = fopen(body_file, "rb");
        if (!f) {
            perror(body_file);
            return -1;
        }
        n = fread(body, 1, sizeof body, f);
        (void)fclose(f);
    }
    int k = snprintf(g_request, sizeof g_request,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\nAccept: */*\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                     body_file ? "POST" : "GET", path, n);
    if (k < 0 || (size_t)k + n > sizeof g_request) {
        return -1;
    }
    memcpy(g_request + k, body, n);
    g_request_n = (size_t)k + n;
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
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        perror("load");
        return -1;
    }
    return 0;
}

/* False: the connection is of no more use. */
static int advance(struct conn *c)
{
    int status = 0;
    ssize_t got = read(c->fd, c->buf + c->n, BUF - c->n);
    if (got <= 0) {
        return 0;
    }
    c->n += (size_t)got;
    int whole = whole_answer(c, &status);
    if (whole > 0) {
        note(c, status);
        return send_one(c) == 0;
    }
    return whole == 0;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        (void)fprintf(stderr, "load PORT CONNECTIONS SECONDS PATH [BODY-FILE]\n");
        return 2;
    }
    static struct conn conns[MAX_CONNS];
    int port = (int)number(argv[1]), n_conns = (int)number(argv[2]);
    double seconds = strtod(argv[3], NULL);
    int ep = epoll_create1(0), alive = 0;
    if (n_conns < 1 || n_conns > MAX_CONNS ||
        make_request(argv[4], argc > 5 ? argv[5] : NULL) != 0) {
        return 2;
    }
    for (; alive < n_conns; alive++) {
        if (open_conn(&conns[alive], port, ep) != 0 || send_one(&conns[alive]) != 0) {
            return 1;
        }
    }
    int64_t begin = now_ns(), end = begin + (int64_t)(seconds * 1e9);
    while (alive && now_ns() < end) {
        struct epoll_event events[256];
        int n = epoll_wait(ep, events, 256, 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!advance(c)) {
                g_errors++;
                alive--;
                (void)close(c->fd);
            }
        }
    }
    double took = (double)(now_ns() - begin) / 1e9;
    (void)printf("{\"requests\":%llu,\"non_2xx\":%llu,\"errors\":%llu,\"seconds\":%.3f,"
                 "\"per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
                 (unsigned long long)g_done, (unsigned long long)g_non_2xx,
                 (unsigned long long)g_errors, took, (double)g_done / took, percentile(0.5),
                 percentile(0.99));
    return g_done && !g_errors ? 0 : 1;
}
