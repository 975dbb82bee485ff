/* SPDX-License-Identifier: Apache-2.0 */
/* The floor: what the kernel and an honest minimum of user code cost for one prediction request.
 * Raw epoll, one acceptor, N threads, keep-alive; every header line is split, the numbers of the
 * body are read with strtod, the answer is an Open Inference Protocol reply. No model, no log, no
 * metrics, no timeouts, no limits worth the name: nothing that serves can cost less.
 *
 *     epoll_floor THREADS      prints http://127.0.0.1:PORT */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, BUF = 16384, MAX_THREADS = 64 };

struct conn {
    size_t n;
    char buf[BUF];
};

static struct conn *g_conns[MAX_FD]; /* by descriptor; its thread alone touches it */

struct request {
    const char *path;
    size_t path_n;
    long content_length;
    int n_headers;
};

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

/* Bytes of the head with its blank line; 0 incomplete, -1 bad. */
static long parse_head(char *p, size_t n, struct request *r)
{
    char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) {
        return 0;
    }
    char *line_end = memchr(p, '\r', n), *space = memchr(p, ' ', (size_t)(line_end - p));
    if (!space) {
        return -1;
    }
    r->path = space + 1;
    space = memchr(r->path, ' ', (size_t)(line_end - r->path));
    if (!space || memcmp(space + 1, "HTTP/1.1", 8) != 0) {
        return -1;
    }
    r->path_n = (size_t)(space - r->path);
    r->content_length = 0;
    r->n_headers = 0;
    for (char *h = line_end + 2; h < end + 2; h = line_end + 2) {
        line_end = memchr(h, '\r', (size_t)(end + 2 - h));
        char *colon = memchr(h, ':', (size_t)(line_end - h));
        if (!colon) {
            return -1;
        }
        r->n_headers++;
        if (colon - h == 14 && strncasecmp(h, "content-length", 14) == 0) {
            r->content_length = number(colon + 1);
        }
    }
    return end + 4 - p;
}

/* Read every number of the "data" array. */
static double scan_body(const char *p, const char *end)
{
    const char *data = memmem(p, (size_t)(end - p), "\"data\"", 6);
    double sum = 0;
    for (p = data ? data + 6 : end; p < end;) {
        if ((*p >= '0' && *p <= '9') || *p == '-') {
            char *after;
            sum += strtod(p, &after);
            p = after;
        } else {
            p++;
        }
    }
    return sum;
}

static int answer(int fd, double sum)
{
    char body[256], out[512];
    int n = snprintf(body, sizeof body,
                     "{\"model_name\":\"m\",\"model_version\":\"1\",\"id\":\"1\",\"outputs\":[{"
                     "\"name\":\"output\",\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[%.8g]}]}",
                     sum);
    int k = snprintf(out, sizeof out,
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                     "\r\n%s",
                     n, body);
    return write(fd, out, (size_t)k) == k ? 0 : -1;
}

static int serve(int fd, struct conn *c)
{
    ssize_t got = read(fd, c->buf + c->n, BUF - 1 - c->n);
    if (got <= 0) {
        return -1;
    }
    c->n += (size_t)got;
    c->buf[c->n] = '\0'; /* strtod stops there */
    for (;;) {
        struct request r;
        long head = parse_head(c->buf, c->n, &r);
        if (head < 0) {
            return -1;
        }
        if (head == 0 || (long)c->n < head + r.content_length) {
            return c->n == BUF - 1 ? -1 : 0;
        }
        long total = head + r.content_length;
        if (answer(fd, scan_body(c->buf + head, c->buf + total)) != 0) {
            return -1;
        }
        c->n -= (size_t)total;
        memmove(c->buf, c->buf + total, c->n);
        if (c->n == 0) {
            return 0;
        }
    }
}

static void *run(void *arg)
{
    int ep = *(int *)arg;
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(ep, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (serve(fd, g_conns[fd]) != 0) {
                struct conn *c = g_conns[fd];
                g_conns[fd] = NULL;
                (void)close(fd);
                free(c);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    long n_threads = argc > 1 ? number(argv[1]) : 1;
    static int eps[MAX_THREADS];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_n = sizeof at;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (n_threads < 1 || n_threads > MAX_THREADS || listener < 0 ||
        bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &at_n) != 0) {
        perror("epoll_floor");
        return 1;
    }
    for (long i = 0; i < n_threads; i++) {
        pthread_t thread;
        eps[i] = epoll_create1(0);
        if (eps[i] < 0 || pthread_create(&thread, NULL, run, &eps[i]) != 0) {
            return 1;
        }
    }
    (void)printf("http://127.0.0.1:%d\n", ntohs(at.sin_port));
    (void)fflush(stdout);
    for (long turn = 0;; turn++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0 || fd >= MAX_FD) {
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        g_conns[fd] = calloc(1, sizeof(struct conn));
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (!g_conns[fd] || epoll_ctl(eps[turn % n_threads], EPOLL_CTL_ADD, fd, &e) != 0) {
            return 1;
        }
    }
}
