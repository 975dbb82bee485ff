/* SPDX-License-Identifier: Apache-2.0 */
/* A file as an answer: in memory, through a reply without sendfile; and over real connections, with
 * it, under load and while it stops. tests/http/test_artifacts.py asks over the wire in all forms.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <zlib.h>

#include "net/file_answer.h"
#include "net/router.h"
#include "net/server.h"

#define ETAG "0123abc"
#define LARGE ((int64_t)(6 * GY_MIB) + 11)

/* ---- in memory ---- */

struct asked {
    const char *method;
    struct gy_header headers[3];
    size_t n_headers;
    int64_t size; /* of the file, whose byte i is i * 7 + i / 251; text: of letters */
    bool text;
    int64_t cut;    /* the file is this much shorter than said */
    int64_t change; /* of the size that it says itself */
    int fd;         /* the one that was opened; -1: none */
    struct gy_collect got;
};

static char byte_at(int64_t i, bool text)
{
    return text ? (char)('a' + i % 17) : (char)(i * 7 + i / 251);
}

static int make_file(int64_t size, bool text)
{
    char path[] = "/tmp/gyre-file-XXXXXX", piece[4096];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    for (int64_t at = 0; at < size;) {
        size_t n = 0;
        for (; n < sizeof piece && at < size; n++, at++) {
            piece[n] = byte_at(at, text);
        }
        assert_int_equal(write(fd, piece, n), (ssize_t)n);
    }
    return fd;
}

static gy_status open_made(void *ctx, int *ret_fd, int64_t *ret_size, struct gy_err *err)
{
    struct asked *a = ctx;
    (void)err;
    *ret_fd = a->fd = make_file(a->size - a->cut, a->text);
    *ret_size = a->size + a->change;
    return GY_OK;
}

static gy_status answer(void *ctx, struct gy_err *err)
{
    struct asked *a = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    gy_collect_reset(&a->got);
    struct gy_request req = {.method = gy_str_c(a->method),
                             .headers = a->headers,
                             .n_headers = a->n_headers,
                             .arena = &arena};
    a->fd = -1;
    struct gy_file_answer f = {.open = open_made,
                               .ctx = a,
                               .size_bytes = a->size,
                               .etag = GY_STR(ETAG),
                               .content_type = a->text ? GY_STR("text/plain") : GY_STR("image/png"),
                               .name = GY_STR("a file")};
    gy_status status = gy_file_answer(&req, &a->got.reply, &f, err);
    assert_int_equal(fcntl(a->fd, F_GETFD), -1); /* closed, whatever came of it */
    return status;
}

static struct gy_str header(const struct asked *a, const char *name)
{
    return gy_collect_header(&a->got, name);
}

static void check_bytes(struct gy_str got, int64_t first, int64_t n, bool text)
{
    assert_int_equal(got.n, n);
    for (int64_t i = 0; i < n; i++) {
        if (got.p[i] != byte_at(first + i, text)) {
            fail_msg("byte %lld", (long long)i);
        }
    }
}

static void test_forms_of_an_answer(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct asked a = {.method = "GET", .size = 100000};
    gy_collect_init(&a.got, GY_MIB);
    assert_status(GY_OK, answer(&a, &err), err);
    assert_int_equal(a.got.status, 200);
    check_bytes(gy_buf_str(&a.got.body), 0, a.size, false);
    assert_str(header(&a, "ETag"), "\"" ETAG "\"");
    assert_str(header(&a, "Content-Disposition"), "attachment; filename=\"a file\"");
    assert_false(header(&a, "Vary").p || header(&a, "Content-Encoding").p);
    a.headers[0] = (struct gy_header){GY_STR("range"), GY_STR("bytes=500-1499")};
    a.n_headers = 1;
    assert_status(GY_OK, answer(&a, &err), err);
    assert_int_equal(a.got.status, 206);
    check_bytes(gy_buf_str(&a.got.body), 500, 1000, false);
    assert_str(header(&a, "Content-Range"), "bytes 500-1499/100000");
    a.headers[1] = (struct gy_header){GY_STR("If-Range"), GY_STR("\"other\"")};
    a.n_headers = 2;
    assert_status(GY_OK, answer(&a, &err), err);
    assert_int_equal(a.got.status, 200);
    a.headers[0].value = GY_STR("bytes=100000-");
    a.headers[1].value = GY_STR("\"" ETAG "\"");
    assert_status(GY_OK, answer(&a, &err), err);
    assert_int_equal(a.got.status, 416);
    assert_int_equal(a.fd, -1); /* no need to fetch it for that */
    assert_str(header(&a, "Content-Range"), "bytes */100000");
    a.headers[0] = (struct gy_header){GY_STR("If-None-Match"), GY_STR("W/\"" ETAG "-gzip\"")};
    a.n_headers = 1;
    assert_status(GY_OK, answer(&a, &err), err);
    assert_int_equal(a.got.status, 304);
    assert_int_equal(a.fd, -1);
    assert_int_equal(a.got.body.n, 0);
    a.headers[0] = (struct gy_header){GY_STR("If-Match"), GY_STR("\"else\"")};
    assert_status(GY_OK, answer(&a, &err), err);
    assert_int_equal(a.got.status, 412);
    gy_collect_done(&a.got);
}

static void test_a_file_shorter_than_said(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct asked a = {.method = "GET", .size = 100000, .cut = 1};
    gy_collect_init(&a.got, GY_MIB);
    assert_status(GY_E_CORRUPT, answer(&a, &err), err);
    a.cut = 0;
    a.change = -1;
    assert_status(GY_E_CORRUPT, answer(&a, &err), err);
    assert_string_equal(err.msg, "the file has 99999 bytes instead of 100000");
    a.change = 0;
    a.cut = 1;
    a.text = true;
    a.headers[0] = (struct gy_header){GY_STR("Accept-Encoding"), GY_STR("gzip")};
    a.n_headers = 1;
    assert_status(GY_E_CORRUPT, answer(&a, &err), err);
    gy_collect_done(&a.got);
}

/* Unpack and compare with the file. */
static void check_packed(struct gy_str packed, int64_t size)
{
    unsigned char *plain = malloc((size_t)size + 1);
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)packed.p,
                  .avail_in = (unsigned)packed.n,
                  .next_out = plain,
                  .avail_out = (unsigned)size + 1};
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    check_bytes(gy_str_n((char *)plain, size + 1 - z.avail_out), 0, size, true);
    (void)inflateEnd(&z);
    free(plain);
}

static void test_texts_are_packed(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    static const int64_t sizes[] = {1024, 65535, 65536, 65537, 200000};
    struct asked a = {.method = "GET", .text = true};
    a.headers[0] = (struct gy_header){GY_STR("Accept-Encoding"), GY_STR("gzip")};
    a.n_headers = 1;
    gy_collect_init(&a.got, GY_MIB);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        a.size = sizes[i];
        assert_status(GY_OK, answer(&a, &err), err);
        assert_str(header(&a, "Content-Encoding"), "gzip");
        assert_str(header(&a, "ETag"), "\"" ETAG "-gzip\"");
        assert_true(a.got.body.n < (size_t)a.size / 4);
        check_packed(gy_buf_str(&a.got.body), a.size);
    }
    a.size = GY_GZIP_MIN_BYTES - 1;
    assert_status(GY_OK, answer(&a, &err), err);
    assert_false(header(&a, "Content-Encoding").p);
    a.size = 5000;
    a.method = "HEAD";
    assert_status(GY_OK, answer(&a, &err), err);
    assert_false(header(&a, "Content-Encoding").p);
    gy_collect_done(&a.got);
}

static void test_answering_without_memory(void **state)
{
    (void)state;
    struct asked a = {.method = "GET", .size = 3000};
    gy_collect_init(&a.got, GY_MIB);
    /* what the collecting reply holds is not the answer's */
    int64_t live = gy_mem_live();
    for (int text = 0; text < 2; text++) {
        a.text = text;
        a.headers[0] = (struct gy_header){GY_STR("Accept-Encoding"), GY_STR("gzip")};
        a.n_headers = 1;
        for (uint64_t nth = 1;; nth++) {
            struct gy_err err = GY_ERR_INIT;
            gy_collect_done(&a.got);
            gy_collect_init(&a.got, GY_MIB);
            gy_mem_fail_at(nth, 1);
            gy_status status = answer(&a, &err);
            uint64_t reached = gy_mem_count();
            gy_mem_fail_at(0, 0);
            if (reached < nth) {
                assert_status(GY_OK, status, err);
                break;
            }
            assert_true(status == GY_OK || status == GY_E_NOMEM);
        }
    }
    gy_collect_done(&a.got);
    assert_true(gy_mem_live() <= live);
}

static void test_names_of_attachments(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a.txt", "attachment; filename=a.txt"},
        {"a b", "attachment; filename=\"a b\""},
        {"", "attachment; filename=\"\""},
        {"a;b=c", "attachment; filename=\"a;b=c\""},
        {"a\"b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"},
        {"\xc3\xa4", "attachment; filename=\"__\"; filename*=UTF-8''%C3%A4"},
        {"a\r\nX: y", "attachment; filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_KIB);
        gy_attachment(&out, gy_str_c(cases[i][0]));
        assert_str(gy_buf_str(&out), cases[i][1]);
    }
}

/* ---- over connections ---- */

static gy_status open_path(void *ctx, int *ret_fd, int64_t *ret_size, struct gy_err *err)
{
    *ret_fd = open(ctx, O_RDONLY | O_CLOEXEC);
    *ret_size = LARGE;
    return *ret_fd < 0 ? gy_err_set(err, GY_E_IO, "no file") : GY_OK;
}

static gy_status send_large(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_file_answer f = {.open = open_path,
                               .ctx = ctx,
                               .size_bytes = LARGE,
                               .etag = GY_STR(ETAG),
                               .content_type = GY_STR("image/png"),
                               .name = GY_STR("large")};
    return gy_file_answer(req, reply, &f, err);
}

/* Bytes before the file in one body, so that only a part of the answer is a file; and after it. */
static gy_status send_mixed(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    bool after = gy_str_eqc(gy_req_query(req, "after"), "1");
    int fd = open(ctx, O_RDONLY | O_CLOEXEC);
    GY_TRY(gy_reply_begin(reply, 200, NULL, 0, 3 + LARGE, err));
    if (!after) {
        GY_TRY(gy_reply_write(reply, GY_STR("abc"), err));
    }
    GY_TRY(gy_reply_send_file(reply, fd, 0, LARGE, err));
    if (after) {
        GY_TRY(gy_reply_write(reply, GY_STR("abc"), err));
    }
    return gy_reply_end(reply, err);
}

static const struct gy_route routes[] = {
    {.method = "GET", .pattern = "/large", .handler = send_large},
    {.method = "GET", .pattern = "/mixed", .handler = send_mixed},
};

struct fixture {
    char dir[64], file[80];
    struct gy_router *router;
    struct gy_server *server;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct gy_err err = GY_ERR_INIT;
    scratch_make(f->dir);
    (void)snprintf(f->file, sizeof f->file, "%s/large", f->dir);
    int from = make_file(LARGE, false), to = open(f->file, O_WRONLY | O_CREAT | O_EXCL, 0600);
    char piece[4096];
    ssize_t n;
    for (off_t at = 0; (n = pread(from, piece, sizeof piece, at)) > 0; at += n) {
        if (write(to, piece, (size_t)n) != n) {
            return -1;
        }
    }
    (void)close(from);
    (void)close(to);
    struct gy_server_options o = {.n_loops = 2, .n_workers = 2, .idle_timeout_ms = 300};
    if (gy_router_new(&f->router, &err) != GY_OK ||
        gy_router_add(f->router, routes, 2, f->file, &err) != GY_OK) {
        return -1;
    }
    o.router = f->router;
    *state = f;
    return gy_server_start(&o, &f->server, &err) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_server_free(f->server);
    gy_router_free(f->router);
    scratch_done(f->dir);
    free(f);
    return gy_mem_live() == 0 ? 0 : -1;
}

static int dial(const struct fixture *f, const char *request)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 32 * 1024;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)gy_server_port(f->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return fd;
}

/* Read up to the end, or n bytes; what of it came. */
static size_t take(int fd, char *out, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t more = recv(fd, out + got, n - got, 0);
        if (more <= 0) {
            break;
        }
        got += (size_t)more;
    }
    return got;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

static struct gy_str body_of(char *answer, size_t n)
{
    struct gy_str all = gy_str_n(answer, n);
    size_t at = gy_str_find_str(all, GY_STR("\r\n\r\n"));
    assert_true(at != SIZE_MAX);
    return gy_str_sub(all, at + 4, SIZE_MAX);
}

static void *download(void *arg)
{
    const struct fixture *f = arg;
    char *out = malloc((size_t)LARGE + 4096);
    for (int i = 0; i < 6; i++) {
        int fd = dial(f, GET("/large"));
        size_t n = take(fd, out, (size_t)LARGE + 4096);
        check_bytes(body_of(out, n), 0, LARGE, false);
        (void)close(fd);
    }
    free(out);
    return NULL;
}

static void test_many_at_once(void **state)
{
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, download, *state), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void test_a_file_among_other_bytes(void **state)
{
    char *out = malloc((size_t)LARGE + 4096);
    for (int after = 0; after < 2; after++) {
        int fd = dial(*state, after ? GET("/mixed?after=1") : GET("/mixed"));
        struct gy_str body = body_of(out, take(fd, out, (size_t)LARGE + 4096));
        assert_int_equal(body.n, LARGE + 3);
        check_bytes(gy_str_sub(body, after ? 0 : 3, (size_t)LARGE), 0, LARGE, false);
        assert_str(gy_str_sub(body, after ? (size_t)LARGE : 0, 3), "abc");
        (void)close(fd);
    }
    free(out);
}

/* Two workers, and eight clients that do not read: others are served, and the eight are cut off
 * when they took too little for too long. */
static void test_clients_that_do_not_read(void **state)
{
    int slow[8];
    char *out = malloc((size_t)LARGE + 4096);
    for (size_t i = 0; i < 8; i++) {
        slow[i] = dial(*state, GET("/large"));
    }
    int fd = dial(*state, GET("/large"));
    check_bytes(body_of(out, take(fd, out, (size_t)LARGE + 4096)), 0, LARGE, false);
    (void)close(fd);
    struct gy_server_stats stats;
    do {
        (void)usleep(10000);
        gy_server_get_stats(((struct fixture *)*state)->server, &stats);
    } while (stats.timeouts < 8); /* a server that never does it fails by the suite's timeout */
    for (size_t i = 0; i < 8; i++) {
        assert_true(take(slow[i], out, (size_t)LARGE) < (size_t)LARGE);
        (void)close(slow[i]);
    }
    free(out);
}

static void test_clients_that_vanish(void **state)
{
    struct linger reset = {1, 0};
    char some[1000];
    for (int i = 0; i < 40; i++) {
        int fd = dial(*state, GET("/large"));
        if (i % 2) {
            (void)take(fd, some, sizeof some);
        }
        if (i % 3) {
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        (void)close(fd);
    }
}

/* Stopping waits for an answer under way, and for no longer than it was told. */
static void test_stopping_ends_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    char *out = malloc((size_t)LARGE + 4096);
    int fds[4];
    for (size_t i = 0; i < 4; i++) {
        fds[i] = dial(f, GET("/large"));
        assert_int_equal(take(fds[i], out, 100), 100);
    }
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, download, f), 0);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_true(gy_server_stop(f->server)); /* the four are dropped as too slow */
    for (size_t i = 0; i < 4; i++) {
        assert_true(take(fds[i], out, (size_t)LARGE) < (size_t)LARGE);
        (void)close(fds[i]);
    }
    free(out);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_an_answer),
        cmocka_unit_test(test_a_file_shorter_than_said),
        cmocka_unit_test(test_texts_are_packed),
        cmocka_unit_test(test_answering_without_memory),
        cmocka_unit_test(test_names_of_attachments),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_among_other_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_that_do_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_that_vanish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopping_ends_what_is_under_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
