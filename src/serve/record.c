/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/record.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/id.h"

#define FRAME_HEADER 8
#define FIXED_BYTES 72
#define RECORD_VERSION 1
#define ERASED_VERSION 2 /* payload[1] says which: */
#define ERASED_GAP 1
#define ERASED_NOTE 2
#define FLAG_RULES 1
#define FLAG_SHADOW 2
#define FLAG_MORE 4 /* items follow the text: */
#define FLAGS_KNOWN (FLAG_RULES | FLAG_SHADOW | FLAG_MORE)
#define ITEM_HEADER 8 /* u16 what, u16 0, u32 bytes; padded to 8 */
/* What an item is. Readers pass over what they do not know. */
enum item_kind {
    ITEM_NONE, /* blanked */
    ITEM_TRACE,
    ITEM_SAMPLE_RATE,
    ITEM_BODY,
    ITEM_BODY_TYPE,
    ITEM_BODY_BYTES,
    ITEM_PROPENSITY,
};
#define TRACE_BYTES 24
#define RULE_BYTES 8

static size_t pad8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static size_t text_bytes(const struct gy_record *r)
{
    return pad8(r->endpoint.n + r->model_version.n + r->request_id.n +
                (r->shadow ? r->shadow_version.n : 0));
}

static size_t item_bytes(size_t n)
{
    return ITEM_HEADER + pad8(n);
}

/* Of the items behind the text: nothing for most records. */
static size_t more_bytes(const struct gy_record *r)
{
    return (gy_record_has_trace(r) ? item_bytes(TRACE_BYTES) : 0) +
           (r->sample_rate > 0 ? item_bytes(sizeof(double)) : 0) +
           (r->propensity > 0 ? item_bytes(sizeof(double)) : 0) +
           (r->body.n ? item_bytes(r->body.n) : 0) +
           (r->body_type.n ? item_bytes(r->body_type.n) : 0) +
           (r->body_bytes ? item_bytes(sizeof(uint64_t)) : 0);
}

double gy_record_weight(const struct gy_record *r)
{
    return r->sample_rate > 0 && r->sample_rate < 1 ? 1 / r->sample_rate : 1;
}

static size_t row_bytes(const struct gy_record *r)
{
    return ((size_t)r->n_inputs + r->n_outputs + (r->shadow ? r->n_shadow : 0)) * sizeof(double) +
           (r->rules ? RULE_BYTES : 0);
}

size_t gy_record_frame_bytes(const struct gy_record *r)
{
    return FRAME_HEADER + FIXED_BYTES + text_bytes(r) + more_bytes(r) + r->n_rows * row_bytes(r);
}

uint32_t gy_record_rows_fit(const struct gy_record *r, size_t max_bytes)
{
    size_t fixed = FRAME_HEADER + FIXED_BYTES + text_bytes(r) + more_bytes(r);
    size_t rows = max_bytes > fixed ? (max_bytes - fixed) / row_bytes(r) : 0;
    return rows < 1 ? 1 : rows > UINT32_MAX ? UINT32_MAX : (uint32_t)rows;
}

static inline char *put(char *to, const void *from, size_t n)
{
    if (n) {
        memcpy(to, from, n);
    }
    return to + n;
}

static void write_fixed(const struct gy_record *r, size_t more, char *to)
{
    to[0] = RECORD_VERSION;
    to[1] = (char)((r->rules ? FLAG_RULES : 0) | (r->shadow ? FLAG_SHADOW : 0) |
                   (more ? FLAG_MORE : 0));
    memcpy(to + 2, &r->status, 2);
    memcpy(to + 4, &r->latency_ns, 4);
    memcpy(to + 8, &r->seq, 8);
    memcpy(to + 16, r->id, 16);
    memcpy(to + 32, &r->time_us, 8);
    memcpy(to + 40, &r->revision, 4);
    memcpy(to + 44, &r->first_row, 4);
    memcpy(to + 48, &r->n_rows, 4);
    memcpy(to + 52, &r->total_rows, 4);
    const uint16_t counts[8] = {r->n_inputs,
                                r->n_outputs,
                                (uint16_t)r->endpoint.n,
                                (uint16_t)r->model_version.n,
                                (uint16_t)r->request_id.n,
                                (uint16_t)(r->shadow ? r->shadow_version.n : 0),
                                (uint16_t)(r->shadow ? r->n_shadow : 0),
                                (uint16_t)(more / 8)};
    memcpy(to + 56, counts, sizeof counts);
}

static char *put_item(char *to, enum item_kind kind, const void *from, size_t n)
{
    const uint16_t what[2] = {(uint16_t)kind, 0};
    const uint32_t bytes = (uint32_t)n;
    memcpy(to, what, sizeof what);
    memcpy(to + 4, &bytes, sizeof bytes);
    to = put(to + ITEM_HEADER, from, n);
    memset(to, 0, pad8(n) - n);
    return to + (pad8(n) - n);
}

static char *put_more(char *p, const struct gy_record *r)
{
    if (gy_record_has_trace(r)) {
        char trace[TRACE_BYTES];
        memcpy(trace, r->trace_id, sizeof r->trace_id);
        memcpy(trace + sizeof r->trace_id, r->parent_span, sizeof r->parent_span);
        p = put_item(p, ITEM_TRACE, trace, sizeof trace);
    }
    if (r->sample_rate > 0) {
        p = put_item(p, ITEM_SAMPLE_RATE, &r->sample_rate, sizeof r->sample_rate);
    }
    if (r->propensity > 0) {
        p = put_item(p, ITEM_PROPENSITY, &r->propensity, sizeof r->propensity);
    }
    if (r->body.n) {
        p = put_item(p, ITEM_BODY, r->body.p, r->body.n);
    }
    if (r->body_type.n) {
        p = put_item(p, ITEM_BODY_TYPE, r->body_type.p, r->body_type.n);
    }
    if (r->body_bytes) {
        p = put_item(p, ITEM_BODY_BYTES, &r->body_bytes, sizeof r->body_bytes);
    }
    return p;
}

void gy_record_write(const struct gy_record *r, char *to)
{
    char *payload = to + FRAME_HEADER;
    size_t more = more_bytes(r);
    write_fixed(r, more, payload);
    char *p = payload + FIXED_BYTES;
    char *text = p;
    p = put(p, r->endpoint.p, r->endpoint.n);
    p = put(p, r->model_version.p, r->model_version.n);
    p = put(p, r->request_id.p, r->request_id.n);
    if (r->shadow) {
        p = put(p, r->shadow_version.p, r->shadow_version.n);
    }
    size_t text_n = text_bytes(r);
    memset(p, 0, text_n - (size_t)(p - text));
    p = text + text_n;
    if (more) {
        p = put_more(p, r);
    }
    p = put(p, r->inputs, r->n_rows * (size_t)r->n_inputs * sizeof(double));
    p = put(p, r->outputs, r->n_rows * (size_t)r->n_outputs * sizeof(double));
    for (uint32_t i = 0; r->rules && i < r->n_rows; i++) {
        memcpy(p, &r->rules[i], RULE_BYTES);
        p += RULE_BYTES;
    }
    if (r->shadow) {
        p = put(p, r->shadow, r->n_rows * (size_t)r->n_shadow * sizeof(double));
    }
    uint32_t length = (uint32_t)(p - payload);
    uint32_t crc = gy_crc32c(0, payload, length);
    memcpy(to, &length, 4);
    memcpy(to + 4, &crc, 4);
}

enum gy_frame gy_frame_look(const char *bytes, size_t n, size_t at, size_t *ret_bytes)
{
    if (at + FRAME_HEADER > n) {
        return GY_FRAME_END;
    }
    uint32_t length;
    uint32_t crc;
    memcpy(&length, bytes + at, 4);
    memcpy(&crc, bytes + at + 4, 4);
    if (length == GY_FRAME_WRAP_MARK) {
        return GY_FRAME_WRAP;
    }
    if (length < FIXED_BYTES || length > GY_RECORD_MAX_BYTES || (length & 7)) {
        return GY_FRAME_BAD;
    }
    if (at + FRAME_HEADER + length > n) {
        return GY_FRAME_END;
    }
    if (gy_crc32c(0, bytes + at + FRAME_HEADER, length) != crc) {
        return GY_FRAME_BAD;
    }
    *ret_bytes = FRAME_HEADER + length;
    return GY_FRAME_GOOD;
}

bool gy_frame_skim(const char *bytes, size_t n, size_t at, size_t *ret_bytes)
{
    uint32_t length;
    if (at + FRAME_HEADER > n) {
        return false;
    }
    memcpy(&length, bytes + at, 4);
    *ret_bytes = FRAME_HEADER + (size_t)length;
    return length >= FIXED_BYTES && length <= GY_RECORD_MAX_BYTES && !(length & 7) &&
           at + *ret_bytes <= n;
}

size_t gy_frame_resync(const char *bytes, size_t n, size_t at)
{
    /* Frames start at multiples of 8. The version byte keeps the search from checksumming at every
     * step. */
    for (; at + FRAME_HEADER + FIXED_BYTES <= n; at += 8) {
        size_t got;
        char version = bytes[at + FRAME_HEADER];
        if ((version == RECORD_VERSION || version == ERASED_VERSION) &&
            gy_frame_look(bytes, n, at, &got) == GY_FRAME_GOOD) {
            return at;
        }
    }
    return n;
}

void gy_record_peek(const char *frame, unsigned char ret_id[16], uint64_t *ret_seq)
{
    memcpy(ret_seq, frame + FRAME_HEADER + 8, 8);
    memcpy(ret_id, frame + FRAME_HEADER + 16, 16);
}

enum gy_frame_kind gy_frame_kind(const char *frame)
{
    const char *p = frame + FRAME_HEADER;
    return p[0] != ERASED_VERSION ? GY_FRAME_RECORD
           : p[1] == ERASED_GAP   ? GY_FRAME_GAP
                                  : GY_FRAME_NOTE;
}

void gy_frame_seal(char *frame)
{
    uint32_t length;
    memcpy(&length, frame, 4);
    uint32_t crc = gy_crc32c(0, frame + FRAME_HEADER, length);
    memcpy(frame + 4, &crc, 4);
}

void gy_frame_make_gap(char *frame, const unsigned char erasure[16], int64_t now_us)
{
    char *p = frame + FRAME_HEADER;
    uint32_t length;
    memcpy(&length, frame, 4);
    p[0] = ERASED_VERSION;
    p[1] = ERASED_GAP;
    memset(p + 2, 0, 6); /* status, latency */
    memcpy(p + 32, &now_us, 8);
    memcpy(p + 56, erasure, 16);
    memset(p + FIXED_BYTES, 0, length - FIXED_BYTES);
    gy_frame_seal(frame);
}

/* The items of a record's frame; *ret_n 0: it has none. */
static char *more_of(char *frame, size_t *ret_n)
{
    char *p = frame + FRAME_HEADER;
    uint32_t length;
    uint16_t counts[8];
    memcpy(&length, frame, 4);
    memcpy(counts, p + 56, sizeof counts);
    size_t text =
        pad8((size_t)counts[2] + counts[3] + counts[4] + (p[1] & FLAG_SHADOW ? counts[5] : 0));
    size_t n = p[1] & FLAG_MORE ? (size_t)counts[7] * 8 : 0;
    *ret_n = FIXED_BYTES + text + n <= length ? n : 0;
    return p + FIXED_BYTES + text;
}

/* The item at *at of n bytes; false at the end, or when it does not fit. */
static bool next_item(const char *items, size_t n, size_t *at, enum item_kind *ret_kind,
                      struct gy_str *ret)
{
    uint16_t kind;
    uint32_t bytes;
    if (*at + ITEM_HEADER > n) {
        return false;
    }
    memcpy(&kind, items + *at, sizeof kind);
    memcpy(&bytes, items + *at + 4, sizeof bytes);
    if (bytes > n - *at - ITEM_HEADER || item_bytes(bytes) > n - *at) {
        return false;
    }
    *ret_kind = (enum item_kind)kind;
    *ret = gy_str_n(items + *at + ITEM_HEADER, bytes);
    *at += item_bytes(bytes);
    return true;
}

void gy_frame_blank_body(char *frame)
{
    size_t n, at = 0;
    enum item_kind kind;
    struct gy_str item;
    char *items = more_of(frame, &n);
    for (size_t from = 0; next_item(items, n, &at, &kind, &item); from = at) {
        if (kind == ITEM_BODY) {
            memset(items + from, 0, 2); /* ITEM_NONE */
            memset(items + from + ITEM_HEADER, 0, item.n);
        }
    }
}

size_t gy_frame_note_bytes(size_t n_body)
{
    return FRAME_HEADER + FIXED_BYTES + n_body;
}

void gy_frame_write_note(char *to, const unsigned char erasure[16], int64_t now_us,
                         uint32_t n_items, struct gy_str body)
{
    char *p = to + FRAME_HEADER;
    uint32_t length = (uint32_t)(FIXED_BYTES + body.n);
    memset(to, 0, FRAME_HEADER + FIXED_BYTES);
    memcpy(to, &length, 4);
    p[0] = ERASED_VERSION;
    p[1] = ERASED_NOTE;
    memcpy(p + 32, &now_us, 8);
    memcpy(p + 48, &n_items, 4);
    memcpy(p + 56, erasure, 16);
    memcpy(p + FIXED_BYTES, body.p, body.n);
    gy_frame_seal(to);
}

struct gy_str gy_frame_note_body(const char *frame, uint32_t *ret_n_items)
{
    uint32_t length;
    memcpy(&length, frame, 4);
    memcpy(ret_n_items, frame + FRAME_HEADER + 48, 4);
    return gy_str_n(frame + FRAME_HEADER + FIXED_BYTES, length - FIXED_BYTES);
}

static void read_gap(const char *p, struct gy_record *ret)
{
    struct gy_record r = {
        .gap = true, .endpoint = GY_STR(""), .model_version = GY_STR(""), .request_id = GY_STR("")};
    memcpy(&r.seq, p + 8, 8);
    memcpy(r.id, p + 16, 16);
    memcpy(&r.time_us, p + 32, 8);
    memcpy(&r.revision, p + 40, 4);
    memcpy(&r.first_row, p + 44, 4);
    memcpy(&r.n_rows, p + 48, 4);
    memcpy(&r.total_rows, p + 52, 4);
    memcpy(r.erasure, p + 56, 16);
    *ret = r;
}

static gy_status copy_arrays(const char *p, struct gy_arena *a, bool has_rules, bool has_shadow,
                             struct gy_record *r, struct gy_err *err)
{
    size_t n_in = (size_t)r->n_rows * r->n_inputs * sizeof(double);
    size_t n_out = (size_t)r->n_rows * r->n_outputs * sizeof(double);
    size_t n_rules = has_rules ? r->n_rows * sizeof(struct gy_rule_outcome) : 0;
    size_t n_shadow = (size_t)r->n_rows * r->n_shadow * sizeof(double);
    char *to = gy_arena_alloc(a, n_in + n_out + n_rules + n_shadow + 1);
    if (!to) {
        return gy_err_set(err, GY_E_NOMEM, "a record of the prediction log");
    }
    memcpy(to, p, n_in + n_out + n_rules + n_shadow);
    r->inputs = (const double *)(const void *)to;
    r->outputs = (const double *)(const void *)(to + n_in);
    r->rules = has_rules ? (const struct gy_rule_outcome *)(const void *)(to + n_in + n_out) : NULL;
    r->shadow = has_shadow ? (const double *)(const void *)(to + n_in + n_out + n_rules) : NULL;
    return GY_OK;
}

static gy_status wrong_items(struct gy_err *err)
{
    return gy_err_set(err, GY_E_CORRUPT, "a record of the prediction log has wrong items");
}

static gy_status copy_text(struct gy_str item, struct gy_arena *a, struct gy_str *ret,
                           struct gy_err *err)
{
    *ret = gy_arena_str(a, item);
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a record of the prediction log");
}

static gy_status copy_fixed(struct gy_str item, void *to, size_t n, struct gy_err *err)
{
    if (item.n != n) {
        return wrong_items(err);
    }
    memcpy(to, item.p, n);
    return GY_OK;
}

static gy_status read_item(enum item_kind kind, struct gy_str item, struct gy_arena *a,
                           struct gy_record *r, struct gy_err *err)
{
    switch (kind) {
    case ITEM_NONE:
        return GY_OK;
    case ITEM_TRACE:
        if (item.n != TRACE_BYTES) {
            return wrong_items(err);
        }
        memcpy(r->trace_id, item.p, sizeof r->trace_id);
        memcpy(r->parent_span, item.p + sizeof r->trace_id, sizeof r->parent_span);
        return GY_OK;
    case ITEM_SAMPLE_RATE:
        return copy_fixed(item, &r->sample_rate, sizeof r->sample_rate, err);
    case ITEM_PROPENSITY:
        return copy_fixed(item, &r->propensity, sizeof r->propensity, err);
    case ITEM_BODY:
        return copy_text(item, a, &r->body, err);
    case ITEM_BODY_TYPE:
        return copy_text(item, a, &r->body_type, err);
    case ITEM_BODY_BYTES:
        return copy_fixed(item, &r->body_bytes, sizeof r->body_bytes, err);
    }
    return GY_OK; /* of a newer program */
}

static gy_status read_more(const char *items, size_t n, struct gy_arena *a, struct gy_record *r,
                           struct gy_err *err)
{
    size_t at = 0;
    enum item_kind kind;
    struct gy_str item;
    while (next_item(items, n, &at, &kind, &item)) {
        GY_TRY(read_item(kind, item, a, r, err));
    }
    return at == n ? GY_OK : wrong_items(err);
}

static void read_fixed(const char *p, uint16_t counts[8], struct gy_record *r)
{
    memcpy(&r->status, p + 2, 2);
    memcpy(&r->latency_ns, p + 4, 4);
    memcpy(&r->seq, p + 8, 8);
    memcpy(r->id, p + 16, 16);
    memcpy(&r->time_us, p + 32, 8);
    memcpy(&r->revision, p + 40, 4);
    memcpy(&r->first_row, p + 44, 4);
    memcpy(&r->n_rows, p + 48, 4);
    memcpy(&r->total_rows, p + 52, 4);
    memcpy(counts, p + 56, 8 * sizeof *counts);
    r->n_inputs = counts[0];
    r->n_outputs = counts[1];
    r->n_shadow = p[1] & FLAG_SHADOW ? counts[6] : 0;
}

gy_status gy_record_read(const char *frame, size_t n, struct gy_arena *a, struct gy_record *ret,
                         struct gy_err *err)
{
    const char *p = frame + FRAME_HEADER;
    if (n >= FRAME_HEADER + FIXED_BYTES && gy_frame_kind(frame) == GY_FRAME_GAP) {
        read_gap(p, ret);
        return GY_OK;
    }
    if (n < FRAME_HEADER + FIXED_BYTES || p[0] != RECORD_VERSION || (p[1] & ~FLAGS_KNOWN)) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "a record of the prediction log has version %d, flags %d",
                          n > FRAME_HEADER ? p[0] : -1, n > FRAME_HEADER + 1 ? p[1] : 0);
    }
    struct gy_record r = {0};
    uint16_t counts[8];
    bool has_rules = p[1] & FLAG_RULES;
    bool has_shadow = p[1] & FLAG_SHADOW;
    read_fixed(p, counts, &r);
    size_t more = p[1] & FLAG_MORE ? (size_t)counts[7] * 8 : 0;
    size_t shadow_text = has_shadow ? counts[5] : 0;
    size_t text = (size_t)counts[2] + counts[3] + counts[4] + shadow_text;
    size_t a_row = ((size_t)r.n_inputs + r.n_outputs + r.n_shadow) * sizeof(double) +
                   (has_rules ? RULE_BYTES : 0);
    if (FRAME_HEADER + FIXED_BYTES + pad8(text) + more + r.n_rows * a_row != n) {
        return gy_err_set(err, GY_E_CORRUPT, "a record of the prediction log has a wrong length");
    }
    p += FIXED_BYTES;
    r.endpoint = gy_arena_str(a, gy_str_n(p, counts[2]));
    r.model_version = gy_arena_str(a, gy_str_n(p + counts[2], counts[3]));
    r.request_id = gy_arena_str(a, gy_str_n(p + counts[2] + counts[3], counts[4]));
    r.shadow_version =
        has_shadow ? gy_arena_str(a, gy_str_n(p + counts[2] + counts[3] + counts[4], shadow_text))
                   : GY_STR_NULL;
    if (!r.endpoint.p || !r.model_version.p || !r.request_id.p ||
        (has_shadow && !r.shadow_version.p)) {
        return gy_err_set(err, GY_E_NOMEM, "a record of the prediction log");
    }
    GY_TRY(read_more(p + pad8(text), more, a, &r, err));
    GY_TRY(copy_arrays(p + pad8(text) + more, a, has_rules, has_shadow, &r, err));
    *ret = r;
    return GY_OK;
}

void gy_segment_name(const unsigned char boot[16], uint32_t ring, uint32_t number,
                     const char *suffix, char out[128])
{
    char text[GY_UUID_TEXT];
    gy_uuid_text(boot, text);
    (void)snprintf(out, 128, "%s-%02u-%06u%s", text, ring, number, suffix);
}

bool gy_segment_parse_name(const char *name, unsigned char boot[16], uint32_t *ring,
                           uint32_t *number)
{
    struct gy_str s = gy_str_c(name);
    struct gy_str tail;
    struct gy_str a;
    struct gy_str b;
    if (s.n < GY_UUID_TEXT + 4 || !gy_str_ends(s, GY_STR(".seg")) || s.p[GY_UUID_TEXT - 1] != '-') {
        return false;
    }
    tail = gy_str_n(s.p + GY_UUID_TEXT, s.n - GY_UUID_TEXT - 4);
    int64_t ring_no;
    int64_t seg_no;
    if (gy_uuid_parse(gy_str_n(s.p, GY_UUID_TEXT - 1), boot, NULL) != GY_OK ||
        !gy_str_cut(tail, '-', &a, &b) || gy_parse_i64(a, 0, 9999, &ring_no, NULL) != GY_OK ||
        gy_parse_i64(b, 0, UINT32_MAX, &seg_no, NULL) != GY_OK) {
        return false;
    }
    *ring = (uint32_t)ring_no;
    *number = (uint32_t)seg_no;
    return true;
}
