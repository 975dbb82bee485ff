/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input as a source of a stream: a message a line, as soon as the line has ended. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "flow/stream_internal.h"

#define READ_BYTES (256 * GY_KIB)

struct text_source {
    struct stream_source base;
    struct gy_buf bytes; /* read, from the first line of the batch at hand on */
    size_t taken;        /* bytes of it that the batch has */
    int64_t line;        /* number of the next line, from 1 */
    bool ended;
    bool too_long; /* the start of this line was let go already */
};

/* What is there now; waits at most wait_ms for something. */
static gy_status fill(struct text_source *t, int wait_ms, struct gy_err *err)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = poll(&p, 1, wait_ms);
    if (ready <= 0) {
        return ready == 0 || errno == EINTR ? GY_OK : gy_err_sys(err, errno, "standard input");
    }
    char *to = gy_buf_reserve(&t->bytes, READ_BYTES);
    GY_TRY(gy_buf_check(&t->bytes, "a line of standard input", err));
    ssize_t n = read(STDIN_FILENO, to, READ_BYTES);
    if (n < 0) {
        return errno == EINTR ? GY_OK : gy_err_sys(err, errno, "standard input");
    }
    t->ended = n == 0;
    gy_buf_commit(&t->bytes, (size_t)n);
    return GY_OK;
}

static gy_status add_line(struct text_source *t, struct gy_str line, struct stream_batch *b,
                          struct gy_err *err)
{
    int64_t number = t->line++;
    struct gy_str text = gy_str_trim(line);
    if (text.n == 0 && !t->too_long) {
        return GY_OK; /* a blank line is no message */
    }
    struct stream_message *m = gy_stream_add(b);
    const char *id = gy_arena_printf(&b->arena, "stdin/%lld", (long long)number);
    m->id = gy_str_c(id);
    m->value = text;
    m->fault = t->too_long ? "the line is longer than 8 MiB" : NULL;
    t->too_long = false;
    return id ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for messages");
}

static gy_status take_lines(struct text_source *t, size_t max, struct stream_batch *b,
                            struct gy_err *err)
{
    while (b->n < max && t->taken < t->bytes.n && t->taken < GY_STREAM_BATCH_BYTES) {
        struct gy_str rest = gy_str_sub(gy_buf_str(&t->bytes), t->taken, t->bytes.n);
        size_t end = gy_str_find(rest, '\n');
        bool torn = end == SIZE_MAX;
        if (torn && !t->ended && rest.n > GY_STREAM_MAX_MESSAGE) {
            t->too_long = true; /* its end will be the message, and a dead letter */
            gy_buf_drop_front(&t->bytes, b->n ? 0 : t->bytes.n);
            return GY_OK;
        }
        if (torn && !t->ended) {
            return GY_OK;
        }
        GY_TRY(add_line(t, gy_str_sub(rest, 0, torn ? rest.n : end), b, err));
        t->taken += torn ? rest.n : end + 1;
    }
    return GY_OK;
}

static gy_status text_take(struct stream_source *s, int wait_ms, size_t max, struct stream_batch *b,
                           bool *ret_end, struct gy_err *err)
{
    struct text_source *t = (struct text_source *)(void *)s;
    gy_buf_drop_front(&t->bytes, t->taken);
    t->taken = 0;
    GY_TRY(take_lines(t, max, b, err));
    if (b->n == 0 && !t->ended) {
        gy_buf_drop_front(&t->bytes, t->taken);
        t->taken = 0;
        GY_TRY(fill(t, wait_ms, err));
        GY_TRY(take_lines(t, max, b, err));
    }
    *ret_end = t->ended && t->taken == t->bytes.n;
    return GY_OK;
}

static gy_status text_done(struct stream_source *s, const struct stream_batch *b, bool *ret_kept,
                           struct gy_err *err)
{
    (void)s; /* what was read from a pipe can not be read again anyway */
    (void)b;
    (void)err;
    *ret_kept = true;
    return GY_OK;
}

static void text_free(struct stream_source *s)
{
    struct text_source *t = (struct text_source *)(void *)s;
    gy_buf_done(&t->bytes);
    gy_free(t);
}

static const struct stream_source_ops text_ops = {text_take, text_done, NULL, NULL, text_free};

gy_status gy_stream_from_stdin(struct stream_source **ret, struct gy_err *err)
{
    struct text_source *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    }
    t->base.ops = &text_ops;
    t->line = 1;
    gy_buf_init(&t->bytes, 2 * GY_STREAM_MAX_MESSAGE + READ_BYTES);
    *ret = &t->base;
    return GY_OK;
}
