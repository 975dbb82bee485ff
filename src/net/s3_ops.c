/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, listing and removing. */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "net/s3_internal.h"
#include "net/s3_xml.h"

#define PAGE 1000 /* keys, S3's own limit */

static gy_status simple(struct gy_s3 *s3, const char *method, const char *key, struct gy_str query,
                        struct s3_answer *a, struct gy_err *err)
{
    struct s3_request rq = {.method = method, .key = key, .query = query};
    return gy_s3_perform(s3, &rq, a, err);
}

gy_status gy_s3_head(struct gy_s3 *s3, const char *key, int64_t *ret_size, int64_t *ret_modified_us,
                     struct gy_err *err)
{
    char name[GY_S3_MAX_NAME + 80];
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    GY_TRY(simple(s3, "HEAD", key, GY_STR_NULL, &a, err));
    if (a.size_bytes < 0 || a.modified_us < 0) {
        return gy_err_set(err, GY_E_NETWORK,
                          "%.300s: the answer has no Content-Length or no Last-Modified",
                          gy_s3_name(s3, key, name));
    }
    *ret_size = a.size_bytes;
    *ret_modified_us = a.modified_us;
    return GY_OK;
}

gy_status gy_s3_delete(struct gy_s3 *s3, const char *key, struct gy_err *err)
{
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    struct gy_err failed = GY_ERR_INIT;
    gy_status status = simple(s3, "DELETE", key, GY_STR_NULL, &a, &failed);
    if (status == GY_OK || strcmp(a.error_code, "NoSuchKey") == 0) {
        return GY_OK;
    }
    if (err) {
        *err = failed;
    }
    return status;
}

gy_status gy_s3_touch(struct gy_s3 *s3, const char *key, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf source;
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_buf_init(&source, (size_t)4 * GY_S3_MAX_NAME);
    gy_s3_answer_init(&a);
    gy_buf_addf(&source, "/%s/", s3->bucket);
    gy_url_encode(&source, gy_str_c(key), true);
    GY_TRY(gy_buf_check(&source, "a key", err));
    /* Without REPLACE a copy onto itself is refused, as it would change nothing. */
    struct s3_request rq = {.method = "PUT",
                            .key = key,
                            .headers = {{GY_STR("x-amz-copy-source"), gy_buf_str(&source)},
                                        {GY_STR("x-amz-metadata-directive"), GY_STR("REPLACE")}},
                            .n_headers = 2};
    return gy_s3_perform(s3, &rq, &a, err);
}

gy_status gy_s3_get(struct gy_s3 *s3, const char *key, gy_s3_sink_fn fn, void *ctx,
                    struct gy_err *err)
{
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    a.sink = fn;
    a.sink_ctx = ctx;
    return simple(s3, "GET", key, GY_STR_NULL, &a, err);
}

gy_status gy_s3_get_range(struct gy_s3 *s3, const char *key, const char *etag, int64_t offset,
                          int64_t n_bytes, gy_s3_sink_fn fn, void *ctx, struct gy_err *err)
{
    char name[GY_S3_MAX_NAME + 80];
    GY_REQUIRE(offset >= 0 && n_bytes > 0);
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    a.sink = fn;
    a.sink_ctx = ctx;
    a.range_first = offset;
    a.range_last = offset + n_bytes - 1;
    struct s3_request rq = {.method = "GET", .key = key};
    if (etag) {
        rq.headers[rq.n_headers++] = (struct gy_header){GY_STR("If-Match"), gy_str_c(etag)};
    }
    gy_status status = gy_s3_perform(s3, &rq, &a, err);
    /* Not every server knows If-Match. */
    if (status == GY_E_CONFLICT ||
        (status == GY_OK && etag && a.etag[0] && strcmp(etag, a.etag) != 0)) {
        (void)gy_err_set(err, GY_E_CONFLICT, "%.300s is another object by now",
                         gy_s3_name(s3, key, name));
        return gy_err_hint(err, "it was replaced while it was read: try again");
    }
    return status;
}

/* ---- listings ---- */

/* A page of keys or uploads, as it is read. Both listings have the same shape. */
struct page {
    const char *ask, *ask_next, *ask_next_id;  /* of the query; ask_next_id MAY be NULL */
    const char *item, *key, *id, *size, *time; /* paths of the leaves */
    const char *next, *next_id, *more;
    /* of the item that is being read */
    char item_key[GY_S3_MAX_NAME], item_id[GY_S3_MAX_UPLOAD_ID];
    int64_t item_size, item_time;
    /* of the page */
    char next_key[3 * GY_S3_MAX_NAME], next_upload[GY_S3_MAX_UPLOAD_ID];
    bool truncated;
    gy_s3_key_fn key_fn;
    gy_s3_upload_fn upload_fn;
    gy_s3_object_fn object_fn;
    void *ctx;
};

static gy_status copy_text(struct gy_str text, char *out, size_t out_size, struct gy_err *err)
{
    if (text.n >= out_size || (text.n && memchr(text.p, '\0', text.n))) {
        return gy_err_set(err, GY_E_TOOBIG, "a listing of the object store has too long a text");
    }
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return GY_OK;
}

static gy_status end_item(struct page *p, struct gy_err *err)
{
    const struct gy_s3_object object = {p->item_key, p->item_id, p->item_size, p->item_time};
    gy_status status = p->object_fn ? p->object_fn(p->ctx, &object, err)
                       : p->key_fn
                           ? p->key_fn(p->ctx, p->item_key, p->item_size, p->item_time, err)
                           : p->upload_fn(p->ctx, p->item_key, p->item_id, p->item_time, err);
    p->item_key[0] = p->item_id[0] = '\0';
    p->item_size = p->item_time = 0;
    return status;
}

static gy_status read_page(void *ctx, struct gy_str path, struct gy_str text, struct gy_err *err)
{
    struct page *p = ctx;
    if (gy_str_eqc(path, p->item)) {
        return end_item(p, err);
    }
    if (gy_str_eqc(path, p->key)) {
        return copy_text(text, p->item_key, sizeof p->item_key, err);
    }
    if (gy_str_eqc(path, p->size)) {
        return gy_parse_i64(text, 0, INT64_MAX, &p->item_size, err);
    }
    if (gy_str_eqc(path, p->time)) {
        return gy_time_parse_iso(text, &p->item_time, err);
    }
    if (gy_str_eqc(path, p->id)) {
        return copy_text(text, p->item_id, sizeof p->item_id, err);
    }
    if (gy_str_eqc(path, p->next)) {
        return copy_text(text, p->next_key, sizeof p->next_key, err);
    }
    if (gy_str_eqc(path, p->next_id)) {
        return copy_text(text, p->next_upload, sizeof p->next_upload, err);
    }
    if (gy_str_eqc(path, p->more)) {
        p->truncated = gy_str_eqc(text, "true");
    }
    return GY_OK;
}

/* Ask for the page and read it; a page that is no XML is an error of the peer's. */
static gy_status next_page(struct gy_s3 *s3, struct gy_str query, struct page *p,
                           struct gy_err *err)
{
    char name[GY_S3_MAX_NAME + 80];
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    GY_TRY(simple(s3, "GET", NULL, query, &a, err));
    p->truncated = false;
    p->next_key[0] = p->next_upload[0] = '\0';
    gy_status status = gy_s3_xml_each(gy_str_trim(gy_buf_str(&a.body)), read_page, p, err);
    return status == GY_E_PARSE
               ? gy_err_wrap(err, "the listing of %.100s", gy_s3_name(s3, NULL, name))
               : status;
}

static gy_status never_ends(const struct gy_s3 *s3, struct gy_err *err)
{
    return gy_err_set(err, GY_E_NETWORK, "s3://%s: a page of the listing is cut, without the next",
                      s3->bucket);
}

/* Page by page to the end. */
static gy_status each_page(struct gy_s3 *s3, const char *prefix, struct page *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf query;
    gy_buf_init(&query, (size_t)16 * GY_S3_MAX_NAME);
    do {
        gy_buf_reset(&query);
        gy_buf_addf(&query, "%s=%d&prefix=", p->ask, PAGE);
        gy_url_encode(&query, gy_str_c(prefix), false);
        if (p->truncated) {
            gy_buf_addc(&query, p->ask_next);
            gy_url_encode(&query, gy_str_c(p->next_key), false);
        }
        if (p->truncated && p->ask_next_id) {
            gy_buf_addc(&query, p->ask_next_id);
            gy_url_encode(&query, gy_str_c(p->next_upload), false);
        }
        GY_TRY(gy_buf_check(&query, "a listing's query", err));
        GY_TRY(next_page(s3, gy_buf_str(&query), p, err));
        if (p->truncated && !p->next_key[0]) {
            return never_ends(s3, err);
        }
    } while (p->truncated);
    return GY_OK;
}

static const struct page of_objects = {.ask = "list-type=2&max-keys",
                                       .ask_next = "&continuation-token=",
                                       .item = "ListBucketResult/Contents",
                                       .key = "ListBucketResult/Contents/Key",
                                       .id = "ListBucketResult/Contents/ETag",
                                       .size = "ListBucketResult/Contents/Size",
                                       .time = "ListBucketResult/Contents/LastModified",
                                       .next = "ListBucketResult/NextContinuationToken",
                                       .more = "ListBucketResult/IsTruncated"};

gy_status gy_s3_list(struct gy_s3 *s3, const char *prefix, gy_s3_key_fn fn, void *ctx,
                     struct gy_err *err)
{
    struct page p = of_objects;
    p.key_fn = fn;
    p.ctx = ctx;
    return each_page(s3, prefix, &p, err);
}

gy_status gy_s3_list_objects(struct gy_s3 *s3, const char *prefix, gy_s3_object_fn fn, void *ctx,
                             struct gy_err *err)
{
    struct page p = of_objects;
    p.object_fn = fn;
    p.ctx = ctx;
    return each_page(s3, prefix, &p, err);
}

gy_status gy_s3_uploads(struct gy_s3 *s3, const char *prefix, gy_s3_upload_fn fn, void *ctx,
                        struct gy_err *err)
{
    struct page p = {.ask = "uploads&max-uploads",
                     .ask_next = "&key-marker=",
                     .ask_next_id = "&upload-id-marker=",
                     .item = "ListMultipartUploadsResult/Upload",
                     .key = "ListMultipartUploadsResult/Upload/Key",
                     .id = "ListMultipartUploadsResult/Upload/UploadId",
                     .time = "ListMultipartUploadsResult/Upload/Initiated",
                     .next = "ListMultipartUploadsResult/NextKeyMarker",
                     .next_id = "ListMultipartUploadsResult/NextUploadIdMarker",
                     .more = "ListMultipartUploadsResult/IsTruncated",
                     .upload_fn = fn,
                     .ctx = ctx};
    return each_page(s3, prefix, &p, err);
}

gy_status gy_s3_abort(struct gy_s3 *s3, const char *key, const char *upload_id, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf query;
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_buf_init(&query, (size_t)4 * GY_S3_MAX_UPLOAD_ID);
    gy_s3_answer_init(&a);
    gy_buf_addc(&query, "uploadId=");
    gy_url_encode(&query, gy_str_c(upload_id), false);
    GY_TRY(gy_buf_check(&query, "an upload's id", err));
    struct gy_err failed = GY_ERR_INIT;
    gy_status status = simple(s3, "DELETE", key, gy_buf_str(&query), &a, &failed);
    if (status == GY_OK || strcmp(a.error_code, "NoSuchUpload") == 0) {
        return GY_OK; /* gone is what was wanted */
    }
    if (err) {
        *err = failed;
    }
    return status;
}

gy_status gy_s3_check(struct gy_s3 *s3, struct gy_err *err)
{
    GY_AUTO_DONE(gy_s3_answer_done) struct s3_answer a;
    gy_s3_answer_init(&a);
    /* Not HEAD: a refusal of that does not say why. */
    GY_TRY(simple(s3, "GET", NULL, GY_STR("list-type=2&max-keys=1"), &a, err));
    char name[80];
    GY_TRY(gy_s3_leaf(&a, "ListBucketResult/Name", name, sizeof name, err));
    if (!name[0]) {
        gy_err_set(err, GY_E_NETWORK, "what answers at %s is no object store", s3->host);
        return gy_err_hint(err,
                           "--s3-endpoint wants the address of its S3 API, not of its console");
    }
    return GY_OK;
}
