/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of replays, so that each dead letter comes into a table at most once, whatever
 * ends the program and whenever.
 *
 * LOG.replayed, beside the log of dead letters, append-only lines:
 *
 *   {"state":"replayed","replay":"<uuid>","table","before","after","dataset","version","time",
 *    "ids":[...]}
 *   {"state":"refused","id","codes":[...],"column","time"}
 *
 * The first: these letters are rows of the table `after` (SHA-256). The second: it stays dead, for
 * new reasons; without their words, which quote values, so that who is erased does not stay there.
 *
 * FOLDER/.replay.json, beside the table, while a replay is on its way: all that is needed to finish
 * it. The order of a replay is: this file, durable; the new table in place of the old one; the
 * dataset version, which is known by its bytes; the line in LOG.replayed, which is known by its
 * uuid; the file is removed. Whoever comes next finishes what was begun: when the table is `after`,
 * from the version on; when it is `before`, nothing happened. When it is neither, an ingest has
 * made it anew from its sources, and the letters are not in it.
 *
 * A letter that was replayed is not replayed again, with one exception: an ingest has refused it
 * once more since then, and the table does not come from the one that it was put into. */
#ifndef GY_DATA_REPLAYLOG_H
#define GY_DATA_REPLAYLOG_H

#include "base/hash.h"
#include "base/map.h"
#include "data/check.h"
#include "data/letter.h"

#define GY_REPLAY_MAX 200000         /* letters of one replay */
#define GY_REPLAY_MAX_KNOWN 10000000 /* letters that are remembered */
#define GY_REPLAY_MAX_JOURNAL (64 * GY_MIB)
#define GY_REPLAY_JOURNAL ".replay.json"

/* One replay. */
struct gy_replay_done {
    struct gy_str replay, before, after, time;
};
struct gy_replay_mark {
    const struct gy_replay_done *done; /* NULL: refused again */
    struct gy_str codes, column;       /* of the last refusal; codes: a JSON array */
};
struct gy_replay_marks {
    struct gy_map by_id; /* to struct gy_replay_mark */
    struct gy_arena arena;
    struct gy_replay_done **replays;
    size_t n, cap;
};
void gy_replay_marks_init(struct gy_replay_marks *m);
void gy_replay_marks_done(struct gy_replay_marks *m);
GY_DEFINE_AUTO_DONE(struct gy_replay_marks, gy_replay_marks_done);

/* "LOG.replayed". Fails: TOOBIG. */
GY_CHECKED gy_status gy_replay_marks_path(const char *dlq, char ret[GY_MAX_PATH],
                                          struct gy_err *err);
/* All that is remembered of a log; without the file nothing is. A torn last line is what never
 * happened. Fails: IO, NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_replay_marks_read(const char *dlq, struct gy_replay_marks *ret,
                                          struct gy_err *err);
bool gy_replay_marks_has(const struct gy_replay_marks *m, struct gy_str replay);
const struct gy_replay_mark *gy_replay_marks_find(const struct gy_replay_marks *m, const char *id);
/* May a letter of that time (of its refusal) be replayed into the table with this SHA-256? */
bool gy_replay_marks_open(const struct gy_replay_marks *m, const char *id, struct gy_str time,
                          const char *table);

/* A replay on its way. */
struct gy_replay_journal {
    char replay[40]; /* uuid */
    struct gy_str dlq /* absolute path */, dataset, schema_json, source;
    char before[GY_SHA256_HEX], after[GY_SHA256_HEX], md5[GY_MD5_HEX];
    int64_t size_bytes, rows, read, dead, base_version /* 0: not known */;
    struct gy_str ids;  /* a JSON array of texts */
    struct gy_str more; /* lines of refused letters */
};
/* Append the JSON of the journal. */
void gy_replay_journal_write(const struct gy_replay_journal *j, struct gy_buf *out);
/* Views into doc, and for ids and schema_json into text. Fails: CORRUPT. */
GY_CHECKED gy_status gy_replay_journal_read(yyjson_val *root, struct gy_buf *text,
                                            struct gy_replay_journal *ret, struct gy_err *err);
/* The line of a replay that is done. */
void gy_replay_add_done(struct gy_buf *out, const struct gy_replay_journal *j, const char *table,
                        int64_t version);
/* The line of a letter that stays dead. */
void gy_replay_add_refused(struct gy_buf *out, const char *id, const struct gy_reasons *r);
/* Does it say more than what is remembered already? */
bool gy_replay_is_news(const struct gy_replay_marks *m, const char *id, const struct gy_reasons *r);

#endif
