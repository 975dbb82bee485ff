/* SPDX-License-Identifier: Apache-2.0 */
#include "data/source_s3.h"

#include <stdio.h>

#include "base/mem.h"
#include "data/source_parquet.h"
#include "net/call.h"

struct object {
    struct gy_source source;
    struct gy_reader reader;
    struct gy_s3 *s3;
    char *name, *key, *etag;
    struct gy_buf block;
    struct gy_str rest; /* of block: not given yet */
    int64_t at;         /* where the next block begins */
};

static struct object *object_of(struct gy_source *s)
{
    return (struct object *)(void *)s;
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for reading an object");
}

/* ---- one ---- */

static gy_status collect(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    gy_buf_add(ctx, bytes);
    return gy_buf_check(ctx, "a block of an object", err);
}

static gy_status next_block(struct object *o, struct gy_err *err)
{
    const int64_t left = o->source.size_bytes - o->at;
    const int64_t want = left < (int64_t)GY_SOURCE_S3_BLOCK ? left : (int64_t)GY_SOURCE_S3_BLOCK;
    gy_buf_reset(&o->block);
    o->rest = GY_STR("");
    if (want == 0) {
        return GY_OK;
    }
    gy_status status = gy_s3_get_range(o->s3, o->key, o->etag[0] ? o->etag : NULL, o->at, want,
                                       collect, &o->block, err);
    /* Behind its end: it has become shorter, on a server that does not know If-Match. */
    if (status == GY_E_INVALID || (status == GY_OK && (int64_t)o->block.n != want)) {
        return gy_err_set(err, GY_E_CONFLICT, "%s is shorter by now than it was listed", o->name);
    }
    if (status == GY_E_NOTFOUND) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "%s was listed, and is gone", o->name);
        return gy_err_hint(err, "it was removed meanwhile: try again");
    }
    GY_TRY(status);
    o->at += want;
    o->rest = gy_buf_str(&o->block);
    return GY_OK;
}

static gy_status s3_next(struct gy_reader *self, struct gy_str *ret, struct gy_err *err)
{
    struct object *o = (struct object *)(void *)((char *)self - offsetof(struct object, reader));
    if (o->rest.n == 0) {
        GY_TRY(next_block(o, err));
    }
    *ret = o->rest;
    o->source.done_bytes += (int64_t)o->rest.n;
    o->rest = GY_STR("");
    return GY_OK;
}

static gy_status s3_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                         struct gy_err *err)
{
    struct object *o = (struct object *)(void *)((char *)self - offsetof(struct object, reader));
    if (o->rest.n == 0) {
        GY_TRY(next_block(o, err));
    }
    *ret_n = o->rest.n < n ? o->rest.n : n;
    memcpy(buf, o->rest.p, *ret_n);
    o->rest = gy_str_sub(o->rest, *ret_n, SIZE_MAX);
    o->source.done_bytes += (int64_t)*ret_n;
    return GY_OK;
}

static gy_status s3_open(struct gy_source *s, struct gy_reader **ret, struct gy_err *err)
{
    struct object *o = object_of(s);
    (void)err;
    o->at = 0;
    o->rest = GY_STR("");
    o->reader = (struct gy_reader){.read = s3_read, .size_bytes = s->size_bytes, .next = s3_next};
    *ret = &o->reader;
    return GY_OK;
}

static void s3_close(struct gy_source *s)
{
    gy_buf_done(&object_of(s)->block);
}

static void s3_free(struct gy_source *s)
{
    struct object *o = object_of(s);
    gy_buf_done(&o->block);
    gy_free(o->name);
    gy_free(o->key);
    gy_free(o->etag);
    gy_free(o);
}

static const struct gy_source_ops s3_ops = {
    .kind = "object", .open = s3_open, .close = s3_close, .free = s3_free};

static gy_status new_object(struct gy_s3 *s3, const char *bucket, const struct gy_s3_object *from,
                            struct gy_source **ret, struct gy_err *err)
{
    char name[GY_S3_MAX_NAME + 80];
    struct object *o = gy_calloc(1, sizeof *o);
    if (!o) {
        return no_memory(err);
    }
    (void)snprintf(name, sizeof name, "s3://%s/%s", bucket, from->key);
    gy_buf_init(&o->block, GY_SOURCE_S3_BLOCK);
    o->s3 = s3;
    o->name = gy_strdup(name);
    o->key = gy_strdup(from->key);
    o->etag = gy_strdup(from->etag);
    o->source = (struct gy_source){.ops = &s3_ops, .name = o->name, .size_bytes = from->size_bytes};
    if (!o->name || !o->key || !o->etag) {
        s3_free(&o->source);
        return no_memory(err);
    }
    if (gy_source_is_parquet_name(from->key)) {
        return gy_source_parquet_of(&o->source, ret, err);
    }
    *ret = &o->source;
    return GY_OK;
}

/* ---- all below a prefix ---- */

gy_status gy_source_s3_parse(const char *url, char ret_bucket[64], char ret_prefix[GY_S3_MAX_NAME],
                             struct gy_err *err)
{
    struct gy_str rest = gy_str_c(url), bucket, prefix;
    if (!gy_str_starts(rest, GY_STR("s3://"))) {
        return gy_err_set(err, GY_E_INVALID, "'%.200s' is no s3://bucket/prefix", url);
    }
    (void)gy_str_cut(gy_str_sub(rest, 5, SIZE_MAX), '/', &bucket, &prefix);
    if (bucket.n == 0 || bucket.n >= 64 || prefix.n >= GY_S3_MAX_NAME) {
        return gy_err_set(err, GY_E_INVALID, "'%.200s' is no s3://bucket/prefix", url);
    }
    memcpy(ret_bucket, bucket.p, bucket.n);
    ret_bucket[bucket.n] = '\0';
    if (prefix.n) {
        memcpy(ret_prefix, prefix.p, prefix.n);
    }
    ret_prefix[prefix.n] = '\0';
    return GY_OK;
}

struct listing {
    struct gy_source_list *list;
    struct gy_s3 *s3;
    const char *bucket, *prefix;
    gy_source_s3_pick_fn pick;
    void *pick_ctx;
    int64_t n_data;
};

/* As of files in folders: hidden parts and other endings are no data. */
static bool is_data(const struct listing *l, const char *key)
{
    const char *below = key + strlen(l->prefix);
    if (!*below) { /* that very object was named */
        return key[0] && key[strlen(key) - 1] != '/';
    }
    const bool inside = l->prefix[0] == '\0' || below[-1] == '/';
    struct gy_str rest = gy_str_c(below), part;
    for (bool whole = inside; gy_str_next(&rest, '/', &part); whole = true) {
        if (whole && (gy_str_starts(part, GY_STR(".")) || gy_str_starts(part, GY_STR("_")))) {
            return false;
        }
    }
    return gy_ingest_is_data_name(key);
}

static gy_status take_object(void *ctx, const struct gy_s3_object *o, struct gy_err *err)
{
    struct listing *l = ctx;
    struct gy_source *s = NULL;
    bool take = true;
    if (!gy_str_starts(gy_str_c(o->key), gy_str_c(l->prefix)) || !is_data(l, o->key)) {
        return GY_OK;
    }
    l->n_data++;
    if (l->pick) {
        GY_TRY(l->pick(l->pick_ctx, o, &take, err));
    }
    if (!take) {
        return GY_OK;
    }
    GY_TRY(new_object(l->s3, l->bucket, o, &s, err));
    return gy_source_list_add(l->list, s, err);
}

gy_status gy_source_list_add_s3(struct gy_source_list *list, struct gy_s3 *s3, const char *bucket,
                                const char *prefix, gy_source_s3_pick_fn pick, void *pick_ctx,
                                int64_t *ret_n_data, struct gy_err *err)
{
    struct listing l = {list, s3, bucket, prefix, pick, pick_ctx, 0};
    GY_TRY(gy_s3_list_objects(s3, prefix, take_object, &l, err));
    if (ret_n_data) {
        *ret_n_data = l.n_data;
    }
    if (l.n_data > 0) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "no data file below s3://%s/%s", bucket, prefix);
    return gy_err_hint(
        err, "keys end in .parquet, or in .csv .tsv .json .jsonl .ndjson, with .gz or .zst or not");
}
