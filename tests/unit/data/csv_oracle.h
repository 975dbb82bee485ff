/* SPDX-License-Identifier: Apache-2.0 */
/* What gy_csv must give, written the slow and obvious way: the whole file in memory, every record
 * scanned byte by byte from its start, nothing remembered. Also a reader that gives a chosen number
 * of bytes at a time. Shared by the unit test and the fuzz target. */
#ifndef GY_TESTS_CSV_ORACLE_H
#define GY_TESTS_CSV_ORACLE_H

#include "data/records.h"
#include "net/call.h"

struct slow_reader {
    struct gy_reader reader;
    struct gy_str rest;
    size_t step; /* bytes a read; 0: as asked */
};

static gy_status slow_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    struct slow_reader *s = (struct slow_reader *)(void *)self;
    (void)err;
    if (s->step && n > s->step) {
        n = s->step;
    }
    if (n > s->rest.n) {
        n = s->rest.n;
    }
    if (n) {
        memcpy(buf, s->rest.p, n);
    }
    s->rest = gy_str_n(s->rest.p + n, s->rest.n - n);
    *ret_n = n;
    return GY_OK;
}

static inline struct slow_reader slow_reader(struct gy_str bytes, size_t step)
{
    return (struct slow_reader){{slow_read, (int64_t)bytes.n}, bytes, step};
}

/* Where the record at `from` ends by the grammar alone (its newline or the end of the file), or -1
 * when a quoted field is broken or more than max bytes were needed; *ret_in_quotes: whether the
 * scan stood inside quotes (or broke) then. */
static inline int64_t oracle_record_end(struct gy_str s, size_t from, char delimiter, size_t max,
                                        bool *ret_in_quotes)
{
    enum { START, PLAIN, INSIDE, AFTER } state = START;
    for (size_t i = from;; i++) {
        bool eof = i >= s.n;
        char b = eof ? 0 : s.p[i];
        if (i - from > max) {
            *ret_in_quotes = state == INSIDE;
            return -1;
        }
        if (state == INSIDE) {
            if (eof) {
                *ret_in_quotes = true;
                return -1;
            }
            state = b == '"' ? AFTER : INSIDE;
        } else if (eof || b == '\n') {
            return (int64_t)i;
        } else if (state == START && b == '"') {
            state = INSIDE;
        } else if (state == AFTER && b == '"') {
            state = INSIDE;
        } else if (b == delimiter) {
            state = START;
        } else if (state == AFTER) {
            if (b == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') {
                if (i + 1 - from > max) {
                    *ret_in_quotes = false;
                    return -1;
                }
                return (int64_t)i + 1;
            }
            *ret_in_quotes = true;
            return -1;
        } else {
            state = PLAIN;
        }
    }
}

struct oracle {
    struct gy_str file;
    size_t pos, max;
    char delimiter;
    bool header_seen;
    int64_t rows;
};

static inline bool oracle_next(struct oracle *o, struct gy_csv_item *ret)
{
    struct gy_str s = o->file;
    if (o->pos >= s.n) {
        return false;
    }
    *ret = (struct gy_csv_item){.row = -1, .offset = (int64_t)o->pos};
    size_t from = o->pos;
    if (from == 0 && s.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0) {
        ret->skip = 3;
        from = 3;
    }
    size_t line = from;
    while (line < s.n && s.p[line] != '\n') {
        line++;
    }
    bool in_quotes = false;
    int64_t end = oracle_record_end(s, from, o->delimiter, o->max, &in_quotes);
    if (end < 0) {
        ret->fault = in_quotes || line - from <= o->max ? GY_CSV_QUOTE : GY_CSV_TOOLONG;
        end = (int64_t)line;
    }
    size_t stop = (size_t)end;
    bool cr = stop > from && stop < s.n && s.p[stop - 1] == '\r';
    ret->length = (int64_t)(stop - from) - (cr ? 1 : 0);
    ret->raw = stop - from <= o->max ? gy_str_n(s.p + from, (size_t)ret->length) : GY_STR_NULL;
    o->pos = stop < s.n ? stop + 1 : stop;
    ret->size_bytes = (int64_t)o->pos - ret->offset;
    if (ret->length == 0) {
        ret->kind = GY_CSV_BLANK;
    } else if (!o->header_seen) {
        ret->kind = GY_CSV_HEADER;
        o->header_seen = true;
    } else {
        ret->kind = GY_CSV_RECORD;
        ret->row = o->rows++;
    }
    return true;
}

/* NULL when gy_csv agrees with the oracle on bytes, else what differs. */
static inline const char *csv_differs(struct gy_str bytes, size_t step, size_t chunk, size_t max)
{
    struct slow_reader in = slow_reader(bytes, step);
    struct gy_csv_options o = {.record_max = max, .chunk_bytes = chunk};
    GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
    if (gy_csv_open(&in.reader, &o, &c, NULL) != GY_OK) {
        return "open";
    }
    struct oracle oracle = {.file = bytes, .max = max};
    int64_t sum = 0;
    for (;;) {
        struct gy_csv_item got = {0}, want = {0};
        bool more = false;
        if (gy_csv_next(c, &got, &more, NULL) != GY_OK) {
            return "next";
        }
        oracle.delimiter = gy_csv_delimiter(c);
        if (oracle_next(&oracle, &want) != more) {
            return "number of items";
        }
        if (!more) {
            return sum == (int64_t)bytes.n ? NULL : "sum of sizes";
        }
        if (got.kind != want.kind || got.row != want.row) {
            return "kind or row";
        }
        if (got.fault != want.fault) {
            return "fault";
        }
        if (got.offset != want.offset || got.size_bytes != want.size_bytes ||
            got.skip != want.skip || got.length != want.length) {
            return "place";
        }
        if ((got.raw.p == NULL) != (want.raw.p == NULL) || !gy_str_eq(got.raw, want.raw)) {
            return "bytes";
        }
        sum += got.size_bytes;
    }
}

/* What is put aside of records that are too long. */
struct kept_spill {
    struct gy_spill to;
    struct gy_buf bytes;
};

static gy_status keep_spill(struct gy_spill *self, struct gy_str bytes, struct gy_err *err)
{
    struct kept_spill *k = (struct kept_spill *)(void *)self;
    gy_buf_add(&k->bytes, bytes);
    return gy_buf_check(&k->bytes, "what is put aside", err);
}

/* One item of gy_csv_more (a line of a run, or a record) against the oracle's next. */
static inline const char *more_differs(struct oracle *oracle, const struct gy_csv_item *got,
                                       struct gy_str spilled)
{
    struct gy_csv_item want = {0};
    if (!oracle_next(oracle, &want)) {
        return "number of items";
    }
    if (got->kind != want.kind || got->row != -1 || got->fault != want.fault) {
        return "kind, row or fault";
    }
    if (got->offset != want.offset || got->size_bytes != want.size_bytes ||
        got->skip != want.skip || got->length != want.length) {
        return "place";
    }
    if ((got->raw.p == NULL) != (want.raw.p == NULL) || !gy_str_eq(got->raw, want.raw)) {
        return "bytes";
    }
    size_t length = (size_t)want.length;
    if (!want.raw.p && (spilled.n < length || spilled.n > length + 1 ||
                        memcmp(spilled.p, oracle->file.p + want.offset + want.skip, length) != 0)) {
        return "what was put aside";
    }
    return want.raw.p && spilled.n > 0 ? "something was put aside" : NULL;
}

/* The same as csv_differs of gy_csv_more, whose runs of lines are at most `run` bytes. */
static inline const char *csv_more_differs(struct gy_str bytes, size_t step, size_t chunk,
                                           size_t max, size_t run)
{
    struct slow_reader in = slow_reader(bytes, step);
    struct kept_spill spill = {.to = {keep_spill}};
    struct gy_csv_options o = {.record_max = max, .chunk_bytes = chunk, .spill = &spill.to};
    GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
    if (gy_csv_open(&in.reader, &o, &c, NULL) != GY_OK) {
        return "open";
    }
    gy_buf_init(&spill.bytes, bytes.n + 64);
    struct oracle oracle = {.file = bytes, .max = max};
    const char *differs = NULL;
    for (bool more = true; more && !differs;) {
        struct gy_csv_item got = {0}, line;
        gy_buf_reset(&spill.bytes);
        if (gy_csv_more(c, run, &got, &more, NULL) != GY_OK) {
            differs = "next";
            break;
        }
        oracle.delimiter = gy_csv_delimiter(c);
        if (!more) {
            differs = oracle_next(&oracle, &got) ? "number of items" : NULL;
        } else if (got.kind != GY_CSV_LINES) {
            differs = more_differs(&oracle, &got, gy_buf_str(&spill.bytes));
        } else {
            struct gy_str lines = got.raw;
            int64_t offset = got.offset;
            differs = lines.n == 0 || lines.n > run ? "size of a run" : NULL;
            while (!differs && gy_csv_line(&lines, &offset, &line)) {
                differs = more_differs(&oracle, &line, GY_STR(""));
            }
            differs = differs                                 ? differs
                      : offset != got.offset + got.size_bytes ? "end of a run"
                                                              : NULL;
        }
    }
    gy_buf_done(&spill.bytes);
    return differs;
}

#endif
