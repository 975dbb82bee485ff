/* SPDX-License-Identifier: Apache-2.0 */
/* What join.c (the table) and join_query.c (what it says) share. Everything is guarded by mu. */
#ifndef GY_WATCH_JOIN_INTERNAL_H
#define GY_WATCH_JOIN_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "watch/join.h"

#define JOIN_NONE UINT32_MAX
#define JOIN_CHUNK 16384 /* rows that are allocated at once */
#define JOIN_ARENA (64 * GY_MIB)

enum {
    JOIN_LIVE = 1,
    JOIN_REQUEST = 2,   /* no row: the label of a (request id, row) */
    JOIN_PREDICTED = 4, /* the prediction is known, else a label waits for it */
    JOIN_LABEL = 8,     /* there is feedback */
    JOIN_TEXT = 16,     /* its label is a text of the table, else a number */
    JOIN_REWARD_ONLY = 32,
    JOIN_REPEATED = 64,   /* several predictions have this request id */
    JOIN_MANY = 128,      /* more than one different piece */
    JOIN_CONFLICT = 256,  /* with different labels */
    JOIN_SAMPLED = 512,   /* a rule decided alone, the model was asked for the sample */
    JOIN_REWARD_0 = 1024, /* reward exactly 0 ... */
    JOIN_REWARD_1 = 2048, /* ... or exactly 1 */
    JOIN_DRAWN = 4096,    /* its version was drawn by shares */
};

/* What counts of the feedback for one target. */
struct join_label {
    int64_t given_us;
    double number; /* or the index of a text */
    uint16_t flags;
    uint16_t reward; /* join_reward_pack */
    uint8_t source;
};

/* Rewards from 0 to 1 in 65535 steps; 0: there is none, or it is outside. */
uint16_t join_reward_pack(double reward);
double join_reward(uint16_t packed); /* NaN: none */

/* Small on purpose: there are millions. Class values are kept as doubles, so that a regression
 * needs nothing else. */
struct join_row {
    unsigned char id[16]; /* JOIN_REQUEST: two digests of the request id */
    uint64_t request;     /* digest of the request id */
    int64_t time_us, given_us;
    double number; /* of the label */
    double answered, model;
    uint32_t row, group;
    uint32_t next;  /* of the same group, by arrival */
    uint32_t label; /* the JOIN_REQUEST entry whose label counts for this row too */
    float score, shadow;
    int16_t rule;
    uint16_t flags;
    uint16_t reward; /* of the label */
    uint8_t source;
};
_Static_assert(sizeof(struct join_row) <= 96, "join.h says how much memory a row takes");

struct join_class {
    double number, value; /* what a plain number as a label means */
};

/* What all rows of a part add to a count. Binary tasks only: the numbers by kind of value and by
 * whether the row's weight is that of a sample; else only whether there are labels. */
#define JOIN_CELLS 3 /* of a class: tp, fp, fn */
struct join_sum {
    uint64_t labelled, unreadable, many, conflicts, repeated;
    uint64_t rows[GY_BY_COUNT][2], correct[GY_BY_COUNT][2];
    uint64_t cells[GY_BY_COUNT][2 * 2 * JOIN_CELLS];
};

/* Up to part_rows rows of a group, one after another: what lets queries pass over rows that are of
 * another time, or have no label, or have not changed since the last query. */
struct join_part {
    uint32_t head, n;
    int64_t min_us, max_us; /* of the rows that it has or had */
    bool marked;            /* a row has or had a label */
    bool cut;               /* rows have left it: min_us and max_us may be theirs */
    struct join_sum *sum;   /* of its rows as they are; NULL: not known */
};

/* The rows of one version of one revision. */
struct join_group {
    const struct gy_shape *shape;
    struct gy_str version;
    struct join_class *classes; /* those whose text is a number, the plainest first */
    size_t n_classes;
    uint32_t head, tail;
    uint64_t rows;
    struct join_part *parts; /* those in use: n_parts from first_part on */
    size_t first_part, n_parts, cap_parts;
};

struct join_slot {
    uint32_t row;  /* + 1; 0 = free */
    uint32_t hash; /* so that most of other keys are told without a look at their rows */
};

struct join_index {
    struct join_slot *slots;
    size_t n_slots; /* a power of two */
    size_t n;
};

struct gy_join {
    struct gy_shapes *shapes;
    size_t max_rows;
    pthread_mutex_t mu; /* all below */
    struct gy_arena arena;
    struct join_row **chunks;
    size_t n_chunks;
    uint32_t first, n_used; /* the ring: rows first .. first + n_used - 1, modulo max_rows */
    struct join_index by_key;
    struct join_index by_request; /* the newest prediction of each request id; only kept from ... */
    bool by_request_used;         /* ... the first feedback on that names one */
    struct join_group *groups;
    size_t n_groups, cap_groups;
    struct gy_map group_by_name;                 /* to index + 1 */
    struct gy_map label_by_text, source_by_name; /* to index + 1 */
    struct gy_str *labels, *sources;
    size_t n_labels, cap_labels, n_sources;
    uint32_t last_group; /* of the last record: most records are like the one before */
    uint8_t last_source;
    uint64_t orphans, evicted, feedback, unreadable;
    size_t n_requests; /* entries with JOIN_REQUEST */
    uint32_t part_rows;
    size_t part_bytes;
};

static inline struct join_row *join_at(const struct gy_join *j, uint32_t i)
{
    return &j->chunks[i / JOIN_CHUNK][i % JOIN_CHUNK];
}

static inline struct join_part *join_part_at(const struct join_group *g, size_t i)
{
    return &g->parts[g->first_part + i];
}

/* ---- join_parts.c ---- */

/* Room for one more part. */
GY_CHECKED gy_status join_parts_reserve(struct gy_join *j, struct join_group *g,
                                        struct gy_err *err);
void join_parts_free(struct gy_join *j, struct join_group *g);
void join_parts_append(struct gy_join *j, struct join_group *g, uint32_t i);  /* after reserve */
void join_parts_drop(struct gy_join *j, struct join_group *g, uint32_t next); /* its first row */
void join_parts_touch(struct gy_join *j, uint32_t i); /* the label of a predicted row changed */
/* Zeroed; NULL: no memory. */
struct join_sum *join_parts_new_sum(struct gy_join *j, struct join_part *p);

/* ---- join_index.c ---- */

uint64_t join_mix(uint64_t h);
GY_CHECKED gy_status join_index_reserve(struct join_index *x, size_t more, struct gy_err *err);
void join_index_put(struct gy_join *j, struct join_index *x, uint32_t i);
void join_index_remove(struct gy_join *j, struct join_index *x, uint32_t i);
/* The row of a prediction id, or a label that waits for it; request: the label of a request id,
 * whose digest is the first half of id. JOIN_NONE: there is none. */
uint32_t join_find(const struct gy_join *j, const unsigned char id[16], uint32_t row, bool request);
/* The newest prediction with that request id. */
uint32_t join_find_newest(const struct gy_join *j, uint64_t request, uint32_t row);

/* ---- join.c ---- */

/* < 0: a loses to b. Labels are those of `row`. */
struct join_label join_label_of(const struct join_row *row);
int join_label_cmp(const struct gy_join *j, const struct join_label *a, const struct join_label *b);

#endif
