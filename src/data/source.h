/* SPDX-License-Identifier: Apache-2.0 */
/* gy_source: where records come from. One shape for a file, standard input, a query or an object in
 * a bucket: a name, a format, and bytes in order from the first one. gy_ingest reads any number of
 * them, one after the other, into one table.
 * Whatever the source gives may be packed: gzip (several members too) and zstd are told from the
 * first bytes and unpacked, so every size, offset and digest of the records counts unpacked bytes.
 * A stream that ends early or does not check out fails with PARSE; it is never taken for the end.
 * An implementation embeds struct gy_source as its first member and fills the public fields; it is
 * used through the gy_source_* functions alone. Not thread safe; one owner.
 * Lifecycle: made by its implementation -> [gy_source_head] -> gy_source_open -> reading ->
 * gy_source_close -> gy_source_free. */
#ifndef GY_DATA_SOURCE_H
#define GY_DATA_SOURCE_H

#include "base/buf.h"
#include "base/limits.h"

struct gy_reader; /* net/call.h */
struct gy_schema; /* data/schema.h */
struct gy_source;
struct gy_source_stream; /* source.c */

/* What the bytes are. AUTO: by the source's name (.csv .tsv .json .jsonl .ndjson, an ending .gz or
 * .zst aside), else JSON when the first byte that is not blank is '[', JSONL when it is '{', and
 * CSV. */
enum gy_ingest_format { GY_INGEST_AUTO, GY_INGEST_CSV, GY_INGEST_JSON, GY_INGEST_JSONL };

struct gy_source_ops {
    const char *kind; /* "file": for messages */
    /* Start at the first byte. *ret lives until close; it fails with messages that name the source.
     * It adds what it has read to done_bytes, and refuses a source that changed under its hands.
     * Called at most once before close. Fails: NOTFOUND, DENIED, IO, NETWORK ... */
    gy_status (*open)(struct gy_source *s, struct gy_reader **ret, struct gy_err *err);
    void (*close)(struct gy_source *s); /* after open, also when that failed */
    /* MAY be NULL. Does it look as if open would succeed? Asked of all sources before anything is
     * made. */
    gy_status (*check)(struct gy_source *s, struct gy_err *err);
    void (*free)(struct gy_source *s); /* the whole object; closed before */
    /* MAY be NULL. The columns, where they are known without looking at records. */
    gy_status (*schema)(struct gy_source *s, struct gy_schema **ret, struct gy_err *err);
};

struct gy_source {
    const struct gy_source_ops *ops;
    const char *name;              /* in dead letters and messages; lives as long as the source */
    const char *folder;            /* where images are looked for; NULL: nowhere */
    enum gy_ingest_format format;  /* AUTO: see above */
    int64_t size_bytes;            /* as it lies there, packed; -1: not known */
    int64_t done_bytes;            /* of size_bytes, since open: for progress */
    struct gy_source_stream *open; /* of source.c */
};

/* The unpacked bytes from the first one on, those of gy_source_head included. *ret lives until
 * gy_source_close. Fails: as ops->open, NOMEM. */
GY_CHECKED gy_status gy_source_open(struct gy_source *s, struct gy_reader **ret,
                                    struct gy_err *err);
void gy_source_close(struct gy_source *s); /* may be closed already */
void gy_source_free(struct gy_source *s);  /* closes; NULL is fine */
GY_DEFINE_AUTO(struct gy_source *, gy_source_free);
/* Look at the first bytes, at most max, before gy_source_open: the source is opened if it is not,
 * and gives them again then. *ret is a view until the next call for this source. *ret_whole (may be
 * NULL): that is all there is. */
GY_CHECKED gy_status gy_source_head(struct gy_source *s, size_t max, struct gy_str *ret,
                                    bool *ret_whole, struct gy_err *err);
/* The format, AUTO resolved (opens the source for that when its name does not tell). */
GY_CHECKED gy_status gy_source_format(struct gy_source *s, enum gy_ingest_format *ret,
                                      struct gy_err *err);

/* What columns it has: *ret NULL when only its records can tell. Fails: as ops->open. */
GY_CHECKED gy_status gy_source_schema(struct gy_source *s, struct gy_schema **ret,
                                      struct gy_err *err);

/* The same, else told from the head of its records; it can be read from its start all the same.
 * Fails also: as gy_source_head, PARSE, NOMEM. */
GY_CHECKED gy_status gy_source_infer(struct gy_source *s, struct gy_schema **ret,
                                     struct gy_err *err);

/* AUTO resolved: by the name, else by the first (unpacked) bytes. */
enum gy_ingest_format gy_ingest_format_of(const char *name, struct gy_str head);
/* A name's ending that is one of a data file, ".gz" or ".zst" aside: "a.csv.gz", "a.parquet". */
bool gy_ingest_is_data_name(const char *name);
/* "auto", "csv", "json", "jsonl", "ndjson". Fails: INVALID. */
GY_CHECKED gy_status gy_ingest_parse_format(struct gy_str text, enum gy_ingest_format *ret,
                                            struct gy_err *err);

/* A file. name: what dead letters call it; NULL: path. Both are copied. A regular file whose size
 * or time changes while it is read fails with CONFLICT at its end. Nothing is opened yet. */
GY_CHECKED gy_status gy_source_file(const char *path, const char *name, struct gy_source **ret,
                                    struct gy_err *err);
/* The same by the name's ending: Parquet (source_parquet.h), else a file. */
GY_CHECKED gy_status gy_source_path(const char *path, struct gy_source **ret, struct gy_err *err);
/* A descriptor that is not closed here, standard input for one; read once. */
GY_CHECKED gy_status gy_source_fd(int fd, const char *name, struct gy_source **ret,
                                  struct gy_err *err);

/* ---- several ---- */

#define GY_MAX_SOURCES 1000000
#define GY_SOURCE_MAX_DEPTH 16 /* folders in folders */

struct gy_source_list {
    struct gy_source **items;
    size_t n, cap;
};
void gy_source_list_done(struct gy_source_list *l); /* frees the sources */
GY_DEFINE_AUTO_DONE(struct gy_source_list, gy_source_list_done);
/* Takes s, also on failure. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_source_list_add(struct gy_source_list *l, struct gy_source *s,
                                        struct gy_err *err);
/* What a person names: "-" is standard input; a folder means its data files and those of the
 * folders in it, sorted, without hidden ones (a leading '.' or '_') and without the file not_this
 * (the output of an earlier run; may be NULL); a pattern with * ? [ that is no file's name means
 * the files that fit, without not_this too; else a file. Fails: NOTFOUND (nothing there, no data
 * file in a folder), and as above. */
GY_CHECKED gy_status gy_source_list_add_path(struct gy_source_list *l, const char *path,
                                             const char *not_this, struct gy_err *err);

#endif
