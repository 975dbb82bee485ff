/* SPDX-License-Identifier: Apache-2.0 */
#include "net/multipart.h"

#include "base/mem.h"

enum { WINDOW = 64 * 1024, MAX_DELIMITER = 4 + GY_MULTIPART_MAX_BOUNDARY };

struct gy_multipart {
    struct gy_reader body; /* of the part at hand; first member */
    struct gy_reader *in;
    char delimiter[MAX_DELIMITER + 1]; /* CR LF - - boundary */
    size_t n_delimiter;
    char window[WINDOW];
    size_t start, end; /* what is there of it */
    bool eof, in_part, last;
    unsigned parts;
    struct gy_buf head;
};

bool gy_multipart_is(struct gy_str content_type)
{
    struct gy_str type, rest;
    (void)gy_str_cut(content_type, ';', &type, &rest);
    return gy_str_ieq(gy_str_trim(type), GY_STR("multipart/form-data"));
}

/* ---- parameters of a header: ; name=token; name="quoted" ---- */

/* The value of a parameter, into out; false: it is not there. */
static bool find_parameter(struct gy_str header, struct gy_str wanted, struct gy_buf *out)
{
    struct gy_str rest = header;
    size_t semicolon;
    while ((semicolon = gy_str_find(rest, ';')) != SIZE_MAX) {
        struct gy_str name;
        rest = gy_str_sub(rest, semicolon + 1, SIZE_MAX);
        size_t equals = gy_str_find(rest, '=');
        if (equals == SIZE_MAX) {
            return false;
        }
        name = gy_str_trim(gy_str_sub(rest, 0, equals));
        rest = gy_str_sub(rest, equals + 1, SIZE_MAX);
        bool mine = gy_str_ieq(name, wanted);
        size_t i = 0;
        if (rest.n > 0 && rest.p[0] == '"') {
            for (i = 1; i < rest.n && rest.p[i] != '"'; i++) {
                i += rest.p[i] == '\\' && i + 1 < rest.n ? 1 : 0;
                if (mine) {
                    gy_buf_add_char(out, rest.p[i]);
                }
            }
        } else {
            for (; i < rest.n && rest.p[i] != ';'; i++) {
            }
            if (mine) {
                gy_buf_add(out, gy_str_trim(gy_str_sub(rest, 0, i)));
            }
        }
        if (mine) {
            return true;
        }
        rest = gy_str_sub(rest, i, SIZE_MAX);
    }
    return false;
}

/* bchars of RFC 2046; not ending in a blank. */
static bool is_boundary(struct gy_str b)
{
    static const char also[] = "'()+_,-./:=? ";
    bool good = b.n > 0 && b.n <= GY_MULTIPART_MAX_BOUNDARY && b.p[b.n - 1] != ' ';
    for (size_t i = 0; good && i < b.n; i++) {
        char c = b.p[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c != '\0' && strchr(also, c));
    }
    return good;
}

/* ---- the window ---- */

/* Let at least n bytes be there, or all up to the end. */
static gy_status fill(struct gy_multipart *m, size_t n, struct gy_err *err)
{
    while (m->end - m->start < n && !m->eof) {
        size_t got = 0;
        if (m->start > 0) {
            memmove(m->window, m->window + m->start, m->end - m->start);
            m->end -= m->start;
            m->start = 0;
        }
        GY_TRY(m->in->read(m->in, m->window + m->end, sizeof m->window - m->end, &got, err));
        m->eof = got == 0;
        m->end += got;
    }
    return GY_OK;
}

static gy_status ended_early(struct gy_err *err)
{
    return gy_err_set(err, GY_E_PARSE, "the multipart body ends before its last boundary");
}

/* How many bytes of the part are here at the front of the window; *ret_found: the delimiter is
 * right behind them. */
static size_t part_bytes(const struct gy_multipart *m, bool *ret_found)
{
    const char *p = m->window + m->start;
    size_t n = m->end - m->start;
    const char *at = memmem(p, n, m->delimiter, m->n_delimiter);
    *ret_found = at != NULL;
    if (at) {
        return (size_t)(at - p);
    }
    return n >= m->n_delimiter ? n - (m->n_delimiter - 1) : 0;
}

static gy_status body_next(struct gy_multipart *m, size_t max, struct gy_str *ret,
                           struct gy_err *err)
{
    bool found = false;
    *ret = GY_STR("");
    if (!m->in_part) {
        return GY_OK;
    }
    GY_TRY(fill(m, m->n_delimiter, err));
    size_t n = part_bytes(m, &found);
    if (n == 0 && !found) { /* fewer bytes than a delimiter has, and no more come */
        return ended_early(err);
    }
    if (n == 0) {
        m->in_part = false;
        m->start += m->n_delimiter;
        return GY_OK;
    }
    *ret = gy_str_n(m->window + m->start, n < max ? n : max);
    m->start += ret->n;
    return GY_OK;
}

static gy_status body_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    struct gy_multipart *m = (struct gy_multipart *)(void *)self;
    struct gy_str bytes;
    GY_TRY(body_next(m, n, &bytes, err));
    memcpy(buf, bytes.p, bytes.n);
    *ret_n = bytes.n;
    return GY_OK;
}

static gy_status skip_body(struct gy_multipart *m, struct gy_err *err)
{
    while (m->in_part) {
        struct gy_str bytes;
        GY_TRY(body_next(m, SIZE_MAX, &bytes, err));
    }
    return GY_OK;
}

/* ---- parts ---- */

gy_status gy_multipart_open(struct gy_reader *in, struct gy_str content_type,
                            struct gy_multipart **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf boundary;
    gy_buf_init(&boundary, GY_MULTIPART_MAX_HEAD);
    if (!gy_multipart_is(content_type) ||
        !find_parameter(content_type, GY_STR("boundary"), &boundary) || boundary.failed != GY_OK ||
        !is_boundary(gy_buf_str(&boundary))) {
        return gy_err_set(err, GY_E_INVALID, "multipart/form-data without a usable boundary");
    }
    struct gy_multipart *m = gy_calloc(1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a form");
    }
    m->body = (struct gy_reader){.read = body_read, .size_bytes = -1};
    m->in = in;
    gy_buf_init(&m->head, 4 * GY_MULTIPART_MAX_HEAD);
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    m->n_delimiter = 4 + boundary.n;
    /* The first boundary may be the first line: then no line end is before it. */
    memcpy(m->window, "\r\n", 2);
    m->end = 2;
    m->in_part = true; /* the preamble */
    *ret = m;
    return GY_OK;
}

void gy_multipart_free(struct gy_multipart *m)
{
    if (m) {
        gy_buf_done(&m->head);
        gy_free(m);
    }
}

/* Behind a delimiter: "--" ends all, blanks and a line end begin a part. */
static gy_status after_delimiter(struct gy_multipart *m, struct gy_err *err)
{
    GY_TRY(fill(m, 2, err));
    if (m->end - m->start >= 2 && memcmp(m->window + m->start, "--", 2) == 0) {
        m->last = true;
        return GY_OK;
    }
    GY_TRY(fill(m, GY_MULTIPART_MAX_BOUNDARY + 2, err));
    while (m->start < m->end && (m->window[m->start] == ' ' || m->window[m->start] == '\t')) {
        m->start++;
    }
    GY_TRY(fill(m, 2, err));
    if (m->end - m->start < 2 || memcmp(m->window + m->start, "\r\n", 2) != 0) {
        return gy_err_set(err, GY_E_PARSE, "a multipart boundary is followed by something else");
    }
    return GY_OK; /* the line end stays: a part without headers has its blank line by it */
}

/* A copy in m->head, whose room never moves: it was reserved before. */
static struct gy_str keep(struct gy_multipart *m, struct gy_str header, const char *parameter)
{
    size_t from = m->head.n;
    if (!parameter) {
        gy_buf_add(&m->head, header);
    } else if (!find_parameter(header, gy_str_c(parameter), &m->head)) {
        return GY_STR_NULL;
    }
    return gy_str_n(m->head.p + from, m->head.n - from);
}

static void read_header(struct gy_multipart *m, struct gy_str line, struct gy_part *ret)
{
    struct gy_str name, value;
    if (!gy_str_cut(line, ':', &name, &value)) {
        return;
    }
    value = gy_str_trim(value);
    if (gy_str_ieq(name, GY_STR("Content-Disposition"))) {
        ret->name = keep(m, value, "name");
        ret->filename = keep(m, value, "filename");
    } else if (gy_str_ieq(name, GY_STR("Content-Type"))) {
        ret->content_type = keep(m, value, NULL);
    }
}

/* The window stands at the line end before the first header line. */
static gy_status read_head(struct gy_multipart *m, struct gy_part *ret, struct gy_err *err)
{
    GY_TRY(fill(m, GY_MULTIPART_MAX_HEAD, err));
    size_t n = m->end - m->start;
    n = n < GY_MULTIPART_MAX_HEAD ? n : GY_MULTIPART_MAX_HEAD;
    const char *p = m->window + m->start;
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) {
        return n == GY_MULTIPART_MAX_HEAD
                   ? gy_err_set(err, GY_E_TOOBIG, "a part has more than %zu bytes of headers",
                                GY_MULTIPART_MAX_HEAD)
                   : ended_early(err);
    }
    gy_buf_reset(&m->head);
    if (!gy_buf_reserve(&m->head, 3 * GY_MULTIPART_MAX_HEAD)) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a form");
    }
    struct gy_str lines = gy_str_n(p, (size_t)(end - p) + 2); /* each behind a line end */
    while (lines.n > 2) {
        lines = gy_str_sub(lines, 2, SIZE_MAX);
        size_t at = gy_str_find_str(lines, GY_STR("\r\n"));
        read_header(m, gy_str_sub(lines, 0, at), ret);
        lines = gy_str_sub(lines, at, SIZE_MAX);
    }
    m->start += (size_t)(end - p) + 4;
    return gy_buf_check(&m->head, "the headers of a part", err);
}

gy_status gy_multipart_next(struct gy_multipart *m, struct gy_part *ret, bool *ret_more,
                            struct gy_err *err)
{
    *ret = (struct gy_part){.body = &m->body};
    *ret_more = false;
    GY_TRY(skip_body(m, err));
    if (m->last) {
        return GY_OK;
    }
    GY_TRY(after_delimiter(m, err));
    if (m->last) {
        return GY_OK;
    }
    if (m->parts++ == GY_MULTIPART_MAX_PARTS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d parts", GY_MULTIPART_MAX_PARTS);
    }
    GY_TRY(read_head(m, ret, err));
    m->in_part = true;
    *ret_more = true;
    return GY_OK;
}
