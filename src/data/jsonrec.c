/* SPDX-License-Identifier: Apache-2.0 */
#include "data/jsonrec.h"

#include "base/mem.h"
#include "net/call.h"

#define DEFAULT_CHUNK (256 * GY_KIB)
#define MAX_BLANKS 4096 /* between a comma and the brace that make a place to resume at */
#define NOWHERE (-1)
static const char BOM[] = "\xef\xbb\xbf";

enum want {
    VALUE,
    VALUE_OR_END, /* after '[' */
    KEY,
    KEY_OR_END, /* after '{' */
    COLON,
    NEXT /* a comma or the end of what is open */
};

enum step { MORE, DONE_BEFORE, DONE_AFTER, BAD };

/* The grammar of one element, byte by byte. */
struct grammar {
    enum want want;
    bool string, escape, bare;
    int depth;
    uint64_t objects[2]; /* a bit a level: it is an object */
};
_Static_assert(GY_MAX_JSON_DEPTH <= 128, "objects holds a bit for each level");

struct gy_jsonrec {
    struct gy_reader *in;
    enum gy_jsonrec_shape shape;
    size_t record_max, chunk;
    char *buf;
    size_t cap, len;
    int64_t base; /* file offset of buf[0] */
    int64_t keep; /* bytes before it may be dropped */
    int64_t pos;  /* file offset of the next item */
    int64_t item; /* where the element at hand starts; NOWHERE between elements */
    int64_t rows;
    struct gy_spill *spill;
    bool eof, started, array, closed;
};

gy_status gy_jsonrec_open(struct gy_reader *in, const struct gy_jsonrec_options *o,
                          struct gy_jsonrec **ret, struct gy_err *err)
{
    GY_AUTO(gy_jsonrec_free) struct gy_jsonrec *j = gy_calloc(1, sizeof *j);
    if (!j) {
        return gy_err_set(err, GY_E_NOMEM, "opening a JSON reader");
    }
    j->in = in;
    j->item = NOWHERE;
    j->spill = o->spill;
    j->shape = o->shape;
    j->record_max = o->record_max ? o->record_max : GY_MAX_CSV_RECORD;
    j->chunk = o->chunk_bytes ? o->chunk_bytes : DEFAULT_CHUNK;
    j->cap = j->record_max + j->chunk + MAX_BLANKS + 8;
    j->buf = gy_malloc(j->cap);
    if (!j->buf) {
        return gy_err_set(err, GY_E_NOMEM, "opening a JSON reader");
    }
    *ret = GY_TAKE(j);
    return GY_OK;
}

void gy_jsonrec_free(struct gy_jsonrec *j)
{
    if (j) {
        gy_free(j->buf);
        gy_free(j);
    }
}

bool gy_jsonrec_unclosed(const struct gy_jsonrec *j)
{
    return j->array && !j->closed;
}

/* The bytes of the element at hand up to `to` that are still here will not be. */
static gy_status spill(struct gy_jsonrec *j, int64_t to, struct gy_err *err)
{
    int64_t from = j->item > j->base ? j->item : j->base;
    if (!j->spill || j->item == NOWHERE || from >= to) {
        return GY_OK;
    }
    return j->spill->write(j->spill, gy_str_n(j->buf + (from - j->base), (size_t)(to - from)), err);
}

static gy_status fill(struct gy_jsonrec *j, struct gy_err *err)
{
    size_t room = j->cap - j->len, used = (size_t)(j->keep - j->base);
    if (used > 0 && (room < j->chunk || used >= j->len - used)) {
        GY_TRY(spill(j, j->keep, err));
        memmove(j->buf, j->buf + used, j->len - used);
        j->base = j->keep;
        j->len -= used;
        room = j->cap - j->len;
    }
    GY_REQUIRE(room > 0);
    size_t got = 0;
    GY_TRY(j->in->read(j->in, j->buf + j->len, room < j->chunk ? room : j->chunk, &got, err));
    GY_REQUIRE(got <= room);
    j->len += got;
    j->eof = got == 0;
    return GY_OK;
}

static int64_t end_of(const struct gy_jsonrec *j)
{
    return j->base + (int64_t)j->len;
}

static gy_status have_more(struct gy_jsonrec *j, int64_t pos, bool *ret, struct gy_err *err)
{
    while (pos >= end_of(j) && !j->eof) {
        GY_TRY(fill(j, err));
    }
    *ret = pos < end_of(j);
    return GY_OK;
}

/* Make the byte at pos readable; *ret false when the file ends before it. */
static inline gy_status have(struct gy_jsonrec *j, int64_t pos, bool *ret, struct gy_err *err)
{
    *ret = pos < end_of(j);
    return *ret ? GY_OK : have_more(j, pos, ret, err);
}

static char at(const struct gy_jsonrec *j, int64_t pos)
{
    return j->buf[pos - j->base];
}

static bool is_blank(char b)
{
    return b == ' ' || b == '\n' || b == '\r' || b == '\t';
}

static bool is_bare(char b)
{
    return (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '-' ||
           b == '+' || b == '.';
}

/* ---- the grammar ---- */

static enum step open_level(struct grammar *g, bool object)
{
    if (g->depth == GY_MAX_JSON_DEPTH) {
        return BAD;
    }
    uint64_t bit = 1ULL << (g->depth % 64);
    uint64_t *word = &g->objects[g->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    g->depth++;
    g->want = object ? KEY_OR_END : VALUE_OR_END;
    return MORE;
}

static bool in_object(const struct grammar *g)
{
    int level = g->depth - 1;
    return g->objects[level / 64] >> (level % 64) & 1;
}

static enum step end_value(struct grammar *g)
{
    g->want = NEXT;
    return g->depth == 0 ? DONE_AFTER : MORE;
}

static enum step end_level(struct grammar *g, bool object)
{
    if (in_object(g) != object) {
        return BAD;
    }
    g->depth--;
    return end_value(g);
}

static enum step step_string(struct grammar *g, char b)
{
    if (g->escape) {
        g->escape = false;
    } else if (b == '\\') {
        g->escape = true;
    } else if (b == '"') {
        g->string = false;
        if (g->want == KEY) {
            g->want = COLON;
            return MORE;
        }
        return end_value(g);
    }
    return (unsigned char)b < 0x20 ? BAD : MORE;
}

static enum step step_value(struct grammar *g, char b)
{
    if (b == '{' || b == '[') {
        return open_level(g, b == '{');
    }
    if (b == '"') {
        g->string = true;
        g->want = VALUE;
        return MORE;
    }
    g->bare = is_bare(b);
    return g->bare ? MORE : BAD;
}

static enum step step_structure(struct grammar *g, char b)
{
    if (is_blank(b)) {
        return MORE;
    }
    switch (g->want) {
    case VALUE_OR_END:
        return b == ']' ? end_level(g, false) : step_value(g, b);
    case VALUE:
        return step_value(g, b);
    case KEY_OR_END:
    case KEY:
        if (b == '}' && g->want == KEY_OR_END) {
            return end_level(g, true);
        }
        g->string = b == '"';
        g->want = KEY;
        return g->string ? MORE : BAD;
    case COLON:
        g->want = VALUE;
        return b == ':' ? MORE : BAD;
    case NEXT:
        if (b == ',') {
            g->want = in_object(g) ? KEY : VALUE;
            return MORE;
        }
        return b == '}' || b == ']' ? end_level(g, b == '}') : BAD;
    }
    return BAD;
}

static enum step step(struct grammar *g, char b)
{
    if (g->string) {
        return step_string(g, b);
    }
    if (g->bare) {
        if (is_bare(b)) {
            return MORE;
        }
        g->bare = false;
        if (end_value(g) == DONE_AFTER) {
            return is_blank(b) || b == ',' || b == ']' ? DONE_BEFORE : BAD;
        }
    }
    return step_structure(g, b);
}

/* ---- one element ---- */

/* Where an element ends. from: its first byte; comma: the last comma, while nothing but blanks
 * came since. */
struct element {
    int64_t from, comma;
};

/* What may be dropped while the element is looked at: nothing, until it is too long to be kept. */
static void drop(struct gy_jsonrec *j, const struct element *e, int64_t pos, int64_t mark)
{
    const int64_t at_least = mark == NOWHERE ? pos : mark; /* where it may end */
    if (at_least - e->from > (int64_t)j->record_max) {
        j->keep = at_least;
    }
}

/* The end of a broken element: see the SYNTAX rule. from: where the search starts. */
static gy_status resume(struct gy_jsonrec *j, struct element *e, int64_t from, int64_t *ret_end,
                        struct gy_err *err)
{
    int64_t mark = NOWHERE; /* a comma or bracket, while nothing but blanks came since */
    bool bracket = false;
    int64_t pos = from > e->from ? from : e->from + 1;
    for (;; pos++) {
        bool there = false;
        drop(j, e, pos, mark);
        GY_TRY(have(j, pos, &there, err));
        if (!there) {
            *ret_end = mark != NOWHERE && bracket ? mark : pos;
            return GY_OK;
        }
        char b = at(j, pos);
        if (b == ',' || b == ']') {
            mark = pos;
            bracket = b == ']';
        } else if (b == '{' && mark != NOWHERE && !bracket) {
            *ret_end = mark;
            return GY_OK;
        } else if (!is_blank(b) || pos - mark >= MAX_BLANKS) {
            mark = NOWHERE;
        }
    }
}

/* The element that starts at e->from: its end and its fault. */
static gy_status scan_element(struct gy_jsonrec *j, struct element *e, int64_t *ret_end,
                              enum gy_csv_fault *ret_fault, struct gy_err *err)
{
    struct grammar g = {.want = VALUE};
    for (int64_t pos = e->from;; pos++) {
        bool there = false;
        drop(j, e, pos, e->comma);
        GY_TRY(have(j, pos, &there, err));
        if (!there) {
            *ret_end = pos;
            *ret_fault = g.bare && g.depth == 0 ? GY_CSV_FINE : GY_CSV_SYNTAX;
            return GY_OK;
        }
        char b = at(j, pos);
        switch (step(&g, b)) {
        case MORE:
            break;
        case DONE_BEFORE:
            *ret_end = pos;
            return GY_OK;
        case DONE_AFTER:
            *ret_end = pos + 1;
            return GY_OK;
        case BAD:
            *ret_fault = GY_CSV_SYNTAX;
            return resume(j, e, e->comma == NOWHERE ? pos : e->comma, ret_end, err);
        }
        if (b == ',') {
            e->comma = pos;
        } else if (!is_blank(b) || (e->comma != NOWHERE && pos - e->comma >= MAX_BLANKS)) {
            e->comma = NOWHERE;
        }
    }
}

/* The item [from, end) of the fault; raw is there unless it is too long. */
static gy_status finish(struct gy_jsonrec *j, int64_t from, int64_t end, struct gy_csv_item *ret,
                        struct gy_err *err)
{
    ret->kind = GY_CSV_RECORD;
    ret->row = j->rows++;
    ret->size_bytes = end - ret->offset;
    ret->length = end - from;
    if (ret->length > (int64_t)j->record_max) {
        ret->fault = ret->fault == GY_CSV_FINE ? GY_CSV_TOOLONG : ret->fault;
        GY_TRY(spill(j, end, err));
    } else {
        struct gy_str raw = gy_str_n(j->buf + (from - j->base), (size_t)ret->length);
        while (raw.n > 0 && is_blank(raw.p[raw.n - 1])) {
            raw.n--; /* of a broken element: the blanks before the next comma */
        }
        ret->raw = raw;
        ret->length = (int64_t)raw.n;
    }
    j->item = NOWHERE;
    j->pos = end;
    return GY_OK;
}

/* ---- what stands between elements ---- */

static gy_status start(struct gy_jsonrec *j, int64_t *ret_skip, struct gy_err *err)
{
    bool there = false;
    j->started = true;
    GY_TRY(have(j, 2, &there, err));
    *ret_skip = there && memcmp(j->buf, BOM, 3) == 0 ? 3 : 0;
    return GY_OK;
}

static gy_status no_json(struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_PARSE, "it starts with neither '[' nor '{'");
    return gy_err_hint(err, "JSON is read as an array of objects, or as objects one by one");
}

/* Go over blanks, commas and the array's brackets. *ret_pos: the first byte of an element, or the
 * end of the file. */
static gy_status skip_gap(struct gy_jsonrec *j, int64_t *ret_pos, struct gy_err *err)
{
    int64_t pos = j->pos, skip = 0;
    const bool first = !j->started;
    if (first) {
        GY_TRY(start(j, &skip, err));
        pos += skip;
    }
    for (bool there = true;; pos++) {
        j->keep = pos;
        GY_TRY(have(j, pos, &there, err));
        char b = there ? at(j, pos) : '\0';
        if (there && is_blank(b)) {
            continue;
        }
        if (first && !j->array && (!there || b != '{')) {
            if (!there || b != '[') {
                return no_json(err);
            }
            j->array = true;
            continue;
        }
        if (there && !j->closed && (b == ',' || (b == ']' && j->array))) {
            j->closed = b == ']';
            continue;
        }
        *ret_pos = pos;
        return GY_OK;
    }
}

static gy_status next_element(struct gy_jsonrec *j, struct gy_csv_item *ret, bool *ret_more,
                              struct gy_err *err)
{
    int64_t from = 0, end = 0;
    bool there = false;
    GY_TRY(skip_gap(j, &from, err));
    *ret = (struct gy_csv_item){.row = -1, .offset = j->pos};
    if (from > j->pos) { /* the gap; the element comes with the next call */
        ret->kind = GY_CSV_BLANK;
        ret->size_bytes = from - j->pos;
        j->pos = from;
        *ret_more = true;
        return GY_OK;
    }
    GY_TRY(have(j, from, &there, err));
    *ret_more = there;
    if (!there) {
        return GY_OK;
    }
    struct element e = {from, NOWHERE};
    j->item = from;
    if (j->closed) { /* behind the array: nothing may stand there */
        j->closed = false;
        ret->fault = GY_CSV_SYNTAX;
        GY_TRY(resume(j, &e, from, &end, err));
    } else {
        GY_TRY(scan_element(j, &e, &end, &ret->fault, err));
    }
    return finish(j, from, end, ret, err);
}

/* ---- lines ---- */

static gy_status next_line(struct gy_jsonrec *j, struct gy_csv_item *ret, bool *ret_more,
                           struct gy_err *err)
{
    int64_t skip = 0;
    bool there = false, blank = true;
    if (!j->started) {
        GY_TRY(start(j, &skip, err));
    }
    j->keep = j->pos;
    GY_TRY(have(j, j->pos, &there, err));
    *ret_more = there;
    if (!there) {
        return GY_OK;
    }
    *ret = (struct gy_csv_item){.row = -1, .offset = j->pos, .skip = skip};
    const struct element e = {j->pos + skip, NOWHERE};
    j->item = e.from;
    int64_t pos = e.from;
    for (;;) { /* the line's end; what is buffered is searched at once */
        drop(j, &e, pos, NOWHERE);
        GY_TRY(have(j, pos, &there, err));
        if (!there) {
            break;
        }
        const char *p = j->buf + (pos - j->base);
        size_t n = (size_t)(end_of(j) - pos);
        const char *hit = memchr(p, '\n', n);
        n = hit ? (size_t)(hit - p) : n;
        for (size_t i = 0; i < n && blank; i++) {
            blank = is_blank(p[i]);
        }
        pos += (int64_t)n;
        if (hit) {
            break;
        }
    }
    if (blank) {
        j->item = NOWHERE;
        ret->kind = GY_CSV_BLANK;
        ret->size_bytes = pos + (there ? 1 : 0) - ret->offset;
        j->pos = ret->offset + ret->size_bytes;
        return GY_OK;
    }
    GY_TRY(finish(j, e.from, pos, ret, err));
    j->pos += there ? 1 : 0;
    ret->size_bytes = j->pos - ret->offset;
    return GY_OK;
}

gy_status gy_jsonrec_next(struct gy_jsonrec *j, struct gy_csv_item *ret, bool *ret_more,
                          struct gy_err *err)
{
    if (j->shape == GY_JSONREC_LINES) {
        return next_line(j, ret, ret_more, err);
    }
    return next_element(j, ret, ret_more, err);
}
