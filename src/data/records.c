/* SPDX-License-Identifier: Apache-2.0 */
#include "data/records.h"

#include "base/mem.h"
#include "net/call.h"

#define DEFAULT_CHUNK (256 * GY_KIB)
static const char BOM[] = "\xef\xbb\xbf";

enum state {
    FIELD_START,
    UNQUOTED,
    QUOTED,
    QUOTE_SEEN, /* a quote inside quotes: the end of the field, or the first half of "" */
    BROKEN
};

/* What the last failed scan learnt. It passed every newline of [from, to) inside quotes (any other
 * newline would have ended its record), and was in `state` at `to`. A later scan that crosses one
 * of those newlines inside quotes is in the same state there, so it goes on at `to` without reading
 * again what lies between: each byte is scanned a bounded number of times. */
struct memo {
    int64_t from, to;
    enum state state;
};

struct gy_csv {
    struct gy_reader *in;
    char delimiter;
    size_t record_max, chunk;
    char *buf;
    size_t cap, len;
    int64_t base; /* file offset of buf[0] */
    int64_t pos;  /* file offset of the next item */
    int64_t rows;
    bool eof, header_seen, bom_checked;
    struct memo memo;
    struct gy_spill *spill;
};

gy_status gy_csv_open(struct gy_reader *in, const struct gy_csv_options *o, struct gy_csv **ret,
                      struct gy_err *err)
{
    char delimiter = o ? o->delimiter : 0;
    if (delimiter && !strchr(",;\t|", delimiter)) {
        return gy_err_set(err, GY_E_INVALID, "a delimiter is one of , ; tab |");
    }
    GY_AUTO(gy_csv_free) struct gy_csv *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "opening a CSV reader");
    }
    c->in = in;
    c->spill = o ? o->spill : NULL;
    c->delimiter = delimiter;
    c->record_max = o && o->record_max ? o->record_max : GY_MAX_CSV_RECORD;
    c->chunk = o && o->chunk_bytes ? o->chunk_bytes : DEFAULT_CHUNK;
    /* The longest content, its line end, one byte to see that it is longer, and a mark. */
    c->cap = c->record_max + c->chunk + 8;
    if (c->cap < GY_CSV_SNIFF_BYTES) {
        c->cap = GY_CSV_SNIFF_BYTES;
    }
    c->buf = gy_malloc(c->cap);
    if (!c->buf) {
        return gy_err_set(err, GY_E_NOMEM, "opening a CSV reader");
    }
    *ret = GY_TAKE(c);
    return GY_OK;
}

void gy_csv_free(struct gy_csv *c)
{
    if (c) {
        gy_free(c->buf);
        gy_free(c);
    }
}

char gy_csv_delimiter(const struct gy_csv *c)
{
    return c->delimiter;
}

/* Read once more behind what is buffered. Only bytes before c->pos may be dropped. */
static gy_status fill(struct gy_csv *c, struct gy_err *err)
{
    size_t room = c->cap - c->len;
    size_t used = (size_t)(c->pos - c->base);
    if (used > 0 && (room < c->chunk || used >= c->len - used)) {
        memmove(c->buf, c->buf + used, c->len - used);
        c->base = c->pos;
        c->len -= used;
        room = c->cap - c->len;
    }
    GY_REQUIRE(room > 0);
    size_t got = 0;
    GY_TRY(c->in->read(c->in, c->buf + c->len, room < c->chunk ? room : c->chunk, &got, err));
    GY_REQUIRE(got <= room);
    c->len += got;
    c->eof = got == 0;
    return GY_OK;
}

static int64_t end_of(const struct gy_csv *c)
{
    return c->base + (int64_t)c->len;
}

static const char *at(const struct gy_csv *c, int64_t pos)
{
    return c->buf + (pos - c->base);
}

/* Make the byte at pos readable; *ret false when the file ends before it. */
static gy_status have(struct gy_csv *c, int64_t pos, bool *ret, struct gy_err *err)
{
    while (pos >= end_of(c) && !c->eof) {
        GY_TRY(fill(c, err));
    }
    *ret = pos < end_of(c);
    return GY_OK;
}

/* The first `what` in [from, limit); the position is limit, or the end of the file, when there is
 * none. */
static gy_status find(struct gy_csv *c, char what, int64_t from, int64_t limit, int64_t *ret,
                      struct gy_err *err)
{
    for (;;) {
        int64_t stop = limit < end_of(c) ? limit : end_of(c);
        if (from < stop) {
            const char *hit = memchr(at(c, from), what, (size_t)(stop - from));
            if (hit) {
                *ret = c->base + (hit - c->buf);
                return GY_OK;
            }
            from = stop;
        }
        if (from >= limit || c->eof) {
            *ret = from;
            return GY_OK;
        }
        GY_TRY(fill(c, err));
    }
}

/* The end of an unquoted field: the first delimiter or newline, else as find. Byte by byte: two
 * searches could each run far past what the other finds, again and again. */
static gy_status find_field_end(struct gy_csv *c, int64_t from, int64_t limit, int64_t *ret,
                                struct gy_err *err)
{
    for (;;) {
        int64_t stop = limit < end_of(c) ? limit : end_of(c);
        for (; from < stop; from++) {
            char b = *at(c, from);
            if (b == c->delimiter || b == '\n') {
                break;
            }
        }
        if (from < stop || from >= limit || c->eof) {
            *ret = from;
            return GY_OK;
        }
        GY_TRY(fill(c, err));
    }
}

/* After a quote inside quotes at pos - 1. */
static gy_status after_quote(struct gy_csv *c, int64_t *pos, int64_t limit, enum state *state,
                             bool *ret_end, struct gy_err *err)
{
    bool there = false;
    GY_TRY(have(c, *pos, &there, err));
    if (!there) {
        *ret_end = true;
        return GY_OK;
    }
    char b = *at(c, *pos);
    if (b == '"') {
        *state = QUOTED;
    } else if (b == c->delimiter) {
        *state = FIELD_START;
    } else if (b == '\n') {
        *ret_end = true;
        return GY_OK;
    } else if (b == '\r') {
        GY_TRY(have(c, *pos + 1, &there, err));
        if (there && *at(c, *pos + 1) == '\n') {
            /* CRLF. The end is its LF; when that lies at the limit, the caller stops. */
            *pos += 1;
            *ret_end = *pos < limit;
            if (!*ret_end) {
                *pos -= 1;
                *state = QUOTE_SEEN;
            }
            return GY_OK;
        }
        *state = BROKEN;
    } else {
        *state = BROKEN;
    }
    *pos += *state == BROKEN ? 0 : 1;
    return GY_OK;
}

/* Scan a record with quotes from c->pos, whose first physical newline (or end) is at line_end. On
 * success *ret_end is its own newline (or the end of the file). Else *ret_fault says why. */
static gy_status scan_quotes(struct gy_csv *c, int64_t from, int64_t line_end, int64_t *ret_end,
                             enum gy_csv_fault *ret_fault, struct gy_err *err)
{
    const int64_t limit = from + (int64_t)c->record_max + 1;
    enum state state = FIELD_START;
    int64_t pos = from;
    bool crossed = false; /* the first physical newline lies behind, inside quotes */
    bool stuck = false;   /* a CRLF lies across the limit */
    while (state != BROKEN && pos < limit && !stuck) {
        bool there = false;
        switch (state) {
        case FIELD_START:
            GY_TRY(have(c, pos, &there, err));
            if (!there || *at(c, pos) == '\n') {
                *ret_end = pos;
                return GY_OK;
            }
            state = *at(c, pos) == '"' ? QUOTED : UNQUOTED;
            pos += state == QUOTED ? 1 : 0;
            break;
        case UNQUOTED:
            GY_TRY(find_field_end(c, pos, limit, &pos, err));
            GY_TRY(have(c, pos, &there, err));
            if (pos < limit) {
                if (!there || *at(c, pos) == '\n') {
                    *ret_end = pos;
                    return GY_OK;
                }
                state = FIELD_START;
                pos++;
            }
            break;
        case QUOTED:
            GY_TRY(find(c, '"', pos, crossed ? limit : line_end, &pos, err));
            if (!crossed && pos == line_end && pos < limit) {
                crossed = true;
                if (c->memo.from <= pos && pos < c->memo.to) {
                    pos = c->memo.to;
                    state = c->memo.state;
                }
                break;
            }
            GY_TRY(have(c, pos, &there, err));
            if (pos < limit) {
                state = there ? QUOTE_SEEN : BROKEN;
                pos += there ? 1 : 0;
            }
            break;
        case QUOTE_SEEN: {
            bool end = false;
            int64_t before = pos;
            GY_TRY(after_quote(c, &pos, limit, &state, &end, err));
            if (end) {
                *ret_end = pos;
                return GY_OK;
            }
            stuck = state == QUOTE_SEEN && pos == before;
            break;
        }
        case BROKEN:
            break;
        }
    }
    c->memo = (struct memo){from, pos, state};
    *ret_fault =
        state == BROKEN || state == QUOTED || line_end < limit ? GY_CSV_QUOTE : GY_CSV_TOOLONG;
    return GY_OK;
}

static gy_status spill(struct gy_csv *c, const char *p, size_t n, struct gy_err *err)
{
    return c->spill && n > 0 ? c->spill->write(c->spill, gy_str_n(p, n), err) : GY_OK;
}

/* Drop a line that does not fit: everything from c->pos up to its newline, without keeping it. What
 * fitted stands before c->pos. */
static gy_status skip_line(struct gy_csv *c, int64_t *ret_end, bool *ret_cr, struct gy_err *err)
{
    bool cr = at(c, c->pos)[-1] == '\r';
    for (;;) {
        size_t n = c->len - (size_t)(c->pos - c->base);
        const char *p = at(c, c->pos);
        const char *hit = n ? memchr(p, '\n', n) : NULL;
        size_t before = hit ? (size_t)(hit - p) : n;
        if (before > 0) {
            cr = p[before - 1] == '\r';
        }
        GY_TRY(spill(c, p, before, err));
        c->pos += (int64_t)before;
        if (hit || c->eof) {
            *ret_end = c->pos;
            *ret_cr = hit && cr;
            return GY_OK;
        }
        GY_TRY(fill(c, err));
    }
}

/* The delimiter that is most often in the first line outside quotes; a tie goes to the earlier of
 * , ; tab |, and none at all to the comma. */
static gy_status sniff(struct gy_csv *c, struct gy_err *err)
{
    while (c->len < GY_CSV_SNIFF_BYTES && !c->eof) {
        if (c->cap - c->len == 0) {
            break;
        }
        GY_TRY(fill(c, err));
    }
    static const char candidates[] = ",;\t|";
    size_t count[4] = {0};
    bool quoted = false;
    size_t n = c->len < GY_CSV_SNIFF_BYTES ? c->len : GY_CSV_SNIFF_BYTES;
    bool any = false; /* blank lines before the header do not count */
    for (size_t i = 0; i < n; i++) {
        char b = c->buf[i];
        if (b == '\n' && !quoted && any) {
            break;
        }
        any = any || (b != '\n' && b != '\r');
        if (b == '"') {
            quoted = !quoted;
        }
        const char *which = quoted || !b ? NULL : strchr(candidates, b);
        if (which) {
            count[which - candidates]++;
        }
    }
    size_t best = 0;
    for (size_t i = 1; i < 4; i++) {
        best = count[i] > count[best] ? i : best;
    }
    c->delimiter = candidates[best];
    return GY_OK;
}

static gy_status start(struct gy_csv *c, struct gy_err *err)
{
    c->bom_checked = true;
    if (!c->delimiter) {
        GY_TRY(sniff(c, err));
    }
    bool there = false;
    return have(c, 2, &there, err);
}

gy_status gy_csv_next(struct gy_csv *c, struct gy_csv_item *ret, bool *ret_more, struct gy_err *err)
{
    if (!c->bom_checked) {
        GY_TRY(start(c, err));
    }
    bool there = false;
    GY_TRY(have(c, c->pos, &there, err));
    if (!there) {
        *ret_more = false;
        return GY_OK;
    }
    struct gy_csv_item item = {.row = -1, .offset = c->pos};
    if (c->pos == 0 && c->len >= 3 && memcmp(c->buf, BOM, 3) == 0) {
        item.skip = 3;
    }
    const int64_t from = c->pos + item.skip;
    const int64_t limit = from + (int64_t)c->record_max + 1;
    int64_t end = 0;
    GY_TRY(find(c, '\n', from, limit, &end, err));
    const bool oversize = end == limit;
    const char *p = at(c, from);
    item.quotes = end > from && memchr(p, '"', (size_t)(end - from)) != NULL;
    if (item.quotes) {
        int64_t record_end = end;
        GY_TRY(scan_quotes(c, from, end, &record_end, &item.fault, err));
        end = item.fault == GY_CSV_FINE ? record_end : end;
    } else if (oversize) {
        item.fault = GY_CSV_TOOLONG;
    }
    bool cr = false;
    if (oversize) {
        GY_TRY(spill(c, at(c, from), (size_t)(end - from), err));
        c->pos = end;
        GY_TRY(skip_line(c, &end, &cr, err));
    } else {
        p = at(c, from);
        cr = end > from && p[end - from - 1] == '\r' && end < end_of(c);
        item.raw = gy_str_n(p, (size_t)(end - from) - (cr ? 1 : 0));
        c->pos = end;
    }
    item.length = end - from - (cr ? 1 : 0);
    GY_TRY(have(c, end, &there, err));
    c->pos = end + (there ? 1 : 0);
    item.size_bytes = c->pos - item.offset;
    if (item.length == 0) {
        item.kind = GY_CSV_BLANK;
    } else if (!c->header_seen) {
        item.kind = GY_CSV_HEADER;
        c->header_seen = true;
    } else {
        item.kind = GY_CSV_RECORD;
        item.row = c->rows++;
    }
    *ret = item;
    *ret_more = true;
    return GY_OK;
}

/* As many whole lines without a quote as are buffered. */
static struct gy_str plain_lines(const struct gy_csv *c, size_t max)
{
    size_t n = c->len - (size_t)(c->pos - c->base);
    n = n < max ? n : max;
    n = n < c->record_max ? n : c->record_max; /* so no line in it is too long */
    const char *p = at(c, c->pos);
    const char *quote = n > 0 ? memchr(p, '"', n) : NULL;
    const char *end = n > 0 ? memrchr(p, '\n', quote ? (size_t)(quote - p) : n) : NULL;
    return end ? gy_str_n(p, (size_t)(end - p) + 1) : GY_STR_NULL;
}

gy_status gy_csv_more(struct gy_csv *c, size_t max, struct gy_csv_item *ret, bool *ret_more,
                      struct gy_err *err)
{
    if (c->header_seen) {
        if (c->len - (size_t)(c->pos - c->base) < c->chunk && !c->eof) {
            GY_TRY(fill(c, err));
        }
        struct gy_str lines = plain_lines(c, max);
        if (lines.n > 0) {
            *ret = (struct gy_csv_item){.kind = GY_CSV_LINES,
                                        .row = -1,
                                        .offset = c->pos,
                                        .size_bytes = (int64_t)lines.n,
                                        .length = (int64_t)lines.n,
                                        .raw = lines};
            c->pos += (int64_t)lines.n;
            *ret_more = true;
            return GY_OK;
        }
    }
    GY_TRY(gy_csv_next(c, ret, ret_more, err));
    if (*ret_more) {
        ret->row = -1;
    }
    return GY_OK;
}

bool gy_csv_line(struct gy_str *lines, int64_t *offset, struct gy_csv_item *ret)
{
    if (lines->n == 0) {
        return false;
    }
    const char *end = memchr(lines->p, '\n', lines->n);
    size_t n = end ? (size_t)(end - lines->p) : lines->n;
    const size_t cr = n > 0 && end && end[-1] == '\r' ? 1 : 0;
    *ret = (struct gy_csv_item){.kind = n > cr ? GY_CSV_RECORD : GY_CSV_BLANK,
                                .row = -1,
                                .offset = *offset,
                                .size_bytes = (int64_t)(n + (end ? 1 : 0)),
                                .length = (int64_t)(n - cr),
                                .raw = gy_str_n(lines->p, n - cr)};
    *offset += ret->size_bytes;
    *lines = gy_str_sub(*lines, (size_t)ret->size_bytes, SIZE_MAX);
    return true;
}

/* Bytes equal to the delimiter, as the high bit of each byte (exact: no borrow between bytes). */
static uint64_t equal_bytes(uint64_t word, uint64_t pattern)
{
    const uint64_t low7 = 0x7f7f7f7f7f7f7f7fULL;
    uint64_t x = word ^ pattern;
    return ~(((x & low7) + low7) | x | low7);
}

static size_t split_plain(struct gy_str raw, char delimiter, struct gy_csv_field *out, size_t max)
{
    size_t n = 0, from = 0, i = 0;
#define PUT(to)                                                                    \
    do {                                                                           \
        if (n < max) {                                                             \
            out[n] = (struct gy_csv_field){raw.p + from, (to)-from, false, false}; \
        }                                                                          \
        n++;                                                                       \
        from = (to) + 1;                                                           \
    } while (0)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t pattern = 0x0101010101010101ULL * (unsigned char)delimiter;
    for (; i + 8 <= raw.n; i += 8) {
        uint64_t word;
        memcpy(&word, raw.p + i, 8);
        for (uint64_t hits = equal_bytes(word, pattern); hits; hits &= hits - 1) {
            PUT(i + ((size_t)__builtin_ctzll(hits) >> 3));
        }
    }
#endif
    for (; i < raw.n; i++) {
        if (raw.p[i] == delimiter) {
            PUT(i);
        }
    }
    PUT(raw.n);
#undef PUT
    return n;
}

size_t gy_csv_split(struct gy_str raw, bool quotes, char delimiter, struct gy_csv_field *out,
                    size_t max)
{
    if (!quotes) {
        return split_plain(raw, delimiter, out, max);
    }
    size_t n = 0, i = 0;
    for (;;) {
        struct gy_csv_field f = {0};
        if (i < raw.n && raw.p[i] == '"') {
            f.quoted = true;
            size_t from = ++i;
            for (;;) {
                const char *q = memchr(raw.p + i, '"', raw.n - i);
                if (!q) { /* can not be in an item without fault; keep the rest all the same */
                    f.p = raw.p + from;
                    f.n = raw.n - from;
                    i = raw.n;
                    break;
                }
                i = (size_t)(q - raw.p) + 1;
                if (i < raw.n && raw.p[i] == '"') {
                    f.escaped = true;
                    i++;
                    continue;
                }
                f.p = raw.p + from;
                f.n = i - 1 - from;
                break;
            }
        } else {
            const char *d = i < raw.n ? memchr(raw.p + i, delimiter, raw.n - i) : NULL;
            size_t to = d ? (size_t)(d - raw.p) : raw.n;
            f.p = raw.p + i;
            f.n = to - i;
            i = to;
        }
        if (n < max) {
            out[n] = f;
        }
        n++;
        if (i >= raw.n) {
            return n;
        }
        i++; /* the delimiter */
    }
}

struct gy_str gy_csv_text(const struct gy_csv_field *f, struct gy_buf *scratch)
{
    if (!f->escaped) {
        return gy_str_n(f->p, f->n);
    }
    gy_buf_reset(scratch);
    for (size_t i = 0; i < f->n; i++) {
        gy_buf_add_char(scratch, f->p[i]);
        if (f->p[i] == '"') {
            i++; /* the second of "" */
        }
    }
    return scratch->failed ? GY_STR_NULL : gy_buf_str(scratch);
}

void gy_csv_add_field(struct gy_buf *out, struct gy_str text)
{
    bool quote = false;
    for (size_t i = 0; i < text.n; i++) {
        char b = text.p[i];
        if (b == ',' || b == '"' || b == '\r' || b == '\n') {
            quote = true;
            break;
        }
    }
    if (!quote) {
        gy_buf_add(out, text);
        return;
    }
    gy_buf_add_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"') {
            gy_buf_add_char(out, '"');
        }
        gy_buf_add_char(out, text.p[i]);
    }
    gy_buf_add_char(out, '"');
}
