/* SPDX-License-Identifier: Apache-2.0 */
/* One record of the prediction log, its bytes, and the frames and segment files that hold records.
 * docs/formats.md, "Prediction log", describes the bytes. Little-endian, like every machine Gyre
 * runs on. Nothing here is shared between threads. */
#ifndef GY_SERVE_RECORD_H
#define GY_SERVE_RECORD_H

#include "base/arena.h"
#include "base/limits.h"
#include "serve/rules.h"

#define GY_RECORD_MAX_BYTES (256 * GY_KIB) /* one frame; longer answers are split by rows */
#define GY_RECORD_MAX_BODY (64 * GY_KIB)   /* of a request that is kept; longer: only its length */
#define GY_RECORD_MAX_TYPE 128             /* bytes of its content type */

/* A prediction request as answered, or a part of its rows. Views. */
struct gy_record {
    uint64_t seq;         /* given by the log: +1 a record of one ring; a gap is a hole */
    unsigned char id[16]; /* prediction_id, UUIDv7 */
    int64_t time_us;
    uint32_t latency_ns; /* saturates */
    uint32_t revision;
    uint32_t first_row, n_rows; /* rows in this record ... */
    uint32_t total_rows;        /* ... of the request */
    uint16_t status;            /* HTTP status of the answer */
    uint16_t n_inputs, n_outputs;
    struct gy_str endpoint, model_version, request_id;
    const double *inputs; /* n_rows x n_inputs, NaN = missing */
    /* n_rows x n_outputs: what was answered, then what the model itself said: probabilities, or
     * (regression with rules) its value. NaN: the model was not asked. */
    const double *outputs;
    const struct gy_rule_outcome *rules; /* n_rows; NULL: the endpoint has no rules */
    /* What a shadow version would have answered; absent version: there was none. */
    struct gy_str shadow_version;
    uint16_t n_shadow;    /* values a row, laid out as outputs */
    const double *shadow; /* n_rows x n_shadow */
    /* What most records do not have; zero: they do not. */
    struct gy_str body;           /* the request as it came, where the endpoint keeps it ... */
    struct gy_str body_type;      /* ... and its content type */
    uint64_t body_bytes;          /* the length of one that was too long to be kept */
    double sample_rate;           /* share of the endpoint's predictions that is logged */
    double propensity;            /* with which probability this version was drawn */
    unsigned char trace_id[16];   /* W3C trace context of the request ... */
    unsigned char parent_span[8]; /* ... and the span that asked */
    /* The record was erased (gap.h): of the above only seq, id, revision and the counts of rows are
     * left, and time_us is when. */
    bool gap;
    unsigned char erasure[16];
};

/* How many predictions stand behind one of this record: 1 / sample_rate. */
double gy_record_weight(const struct gy_record *r);
static inline bool gy_record_has_trace(const struct gy_record *r)
{
    static const unsigned char none[16];
    return memcmp(r->trace_id, none, sizeof none) != 0;
}

/* Bytes of the frame (header included, a multiple of 8). */
size_t gy_record_frame_bytes(const struct gy_record *r);
/* Rows that fit a frame of at most max_bytes beside the strings; at least 1. */
uint32_t gy_record_rows_fit(const struct gy_record *r, size_t max_bytes);
/* Write the whole frame to `to` (8-byte aligned, gy_record_frame_bytes long). */
void gy_record_write(const struct gy_record *r, char *to);

enum gy_frame {
    GY_FRAME_GOOD,
    GY_FRAME_END,  /* no more bytes, or a torn last frame */
    GY_FRAME_BAD,  /* the checksum or the length is wrong */
    GY_FRAME_WRAP, /* rings only: go on at the start */
};
#define GY_FRAME_WRAP_MARK 0xffffffffu
/* What stands at `at` of n bytes. GOOD: *ret_bytes is the length of the frame. */
enum gy_frame gy_frame_look(const char *bytes, size_t n, size_t at, size_t *ret_bytes);
/* What looks like a whole frame, its checksum not looked at. false: nothing does. */
bool gy_frame_skim(const char *bytes, size_t n, size_t at, size_t *ret_bytes);
/* The first good frame at or after `at`; n when there is none. */
size_t gy_frame_resync(const char *bytes, size_t n, size_t at);
/* Decode a good frame; strings and arrays are copied into the arena. Fails: CORRUPT, NOMEM. */
GY_CHECKED gy_status gy_record_read(const char *frame, size_t n, struct gy_arena *a,
                                    struct gy_record *ret, struct gy_err *err);
/* Only what an index needs. */
void gy_record_peek(const char *frame, unsigned char ret_id[16], uint64_t *ret_seq);

/* What a good frame is. NOTE is no record: it signs what was erased, and readers pass over it. */
enum gy_frame_kind { GY_FRAME_RECORD, GY_FRAME_GAP, GY_FRAME_NOTE };
enum gy_frame_kind gy_frame_kind(const char *frame);
/* Turn the frame of a record into a gap of the same length: its number, its prediction id, its
 * revision and its counts of rows stay, everything else becomes zeros. */
void gy_frame_make_gap(char *frame, const unsigned char erasure[16], int64_t now_us);
/* A record that keeps rows while others are erased: its request's body, which holds them all,
 * becomes zeros and is none from then on. Then gy_frame_seal. */
void gy_frame_blank_body(char *frame);
/* Write a note: header, fixed fields (n_items, erasure, time) and `body`, a multiple of 8 bytes.
 * Room: gy_frame_note_bytes. */
size_t gy_frame_note_bytes(size_t n_body);
void gy_frame_write_note(char *to, const unsigned char erasure[16], int64_t now_us,
                         uint32_t n_items, struct gy_str body);
struct gy_str gy_frame_note_body(const char *frame, uint32_t *ret_n_items);
/* The checksum of a frame whose payload was changed. */
void gy_frame_seal(char *frame);

/* ---- segment files ---- */
#define GY_SEGMENT_HEADER 64
struct gy_segment_info {
    unsigned char boot[16]; /* UUIDv7 of the server's start */
    uint32_t ring, number;
    uint64_t records, first_seq, last_seq;
    uint64_t holes; /* records missing inside, by sequence number */
    uint64_t bad;   /* places that had to be skipped */
    uint64_t bytes; /* up to the end of the last good frame */
};
void gy_segment_header(const unsigned char boot[16], uint32_t ring, uint32_t number,
                       char out[GY_SEGMENT_HEADER]);
/* "<boot>-<ring>-<number>.seg" apart; false when name is not one. */
bool gy_segment_parse_name(const char *name, unsigned char boot[16], uint32_t *ring,
                           uint32_t *number);
void gy_segment_name(const unsigned char boot[16], uint32_t ring, uint32_t number,
                     const char *suffix, char out[128]);
/* Read a whole segment, write its index (path with .idx for .seg). Fails: CORRUPT (not a segment),
 * IO, NOSPACE, NOMEM. */
GY_CHECKED gy_status gy_segment_seal(const char *path, struct gy_segment_info *ret,
                                     struct gy_err *err);
/* What gy_segment_seal would say of it, without an index being written. Fails: CORRUPT (not a
 * segment), IO. */
GY_CHECKED gy_status gy_segment_scan(const char *path, struct gy_segment_info *ret,
                                     struct gy_err *err);
/* Read the header of the index of the segment `path`. NOTFOUND: not sealed. CORRUPT: seal again. */
GY_CHECKED gy_status gy_segment_sealed(const char *path, struct gy_segment_info *ret,
                                       struct gy_err *err);
/* The least and the greatest id of a sealed segment, and how many records it has (0: the ids are
 * untouched). Reads three places of the index. NOTFOUND: not sealed. CORRUPT: seal again. */
GY_CHECKED gy_status gy_segment_ids(const char *path, unsigned char ret_least[16],
                                    unsigned char ret_greatest[16], uint64_t *ret_records,
                                    struct gy_err *err);
/* As gy_segment_find, and quick where there is no index: it trusts the lengths of frames and
 * checks only the records that it gives. So behind a damaged place a record may be missed: who
 * finds nothing asks gy_segment_find. */
GY_CHECKED gy_status gy_segment_find_quick(const char *path, const unsigned char id[16],
                                           struct gy_arena *a, struct gy_record *out, size_t max,
                                           size_t *ret_n, struct gy_err *err);
/* All records with this id (parts of one request), in row order, by index where there is one. Adds
 * to *ret_n; at most max are kept. */
GY_CHECKED gy_status gy_segment_find(const char *path, const unsigned char id[16],
                                     struct gy_arena *a, struct gy_record *out, size_t max,
                                     size_t *ret_n, struct gy_err *err);
/* Call fn for each good record in order (a failing fn ends the walk). */
typedef gy_status (*gy_record_fn)(void *ctx, const struct gy_record *r, struct gy_err *err);
GY_CHECKED gy_status gy_segment_each(const char *path, gy_record_fn fn, void *ctx,
                                     struct gy_err *err);

#endif
