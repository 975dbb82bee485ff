/* SPDX-License-Identifier: Apache-2.0 */
/* What an object store answers, from a peer that is not to be trusted: the XML reader alone, then
 * the same bytes as a listing, a list of uploads, an error and the body of an object. The first
 * byte gives the status. Nothing is called with what breaks its promise, no memory stays, and a
 * document that the reader takes is taken again when comments are put before it. */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/s3.h"
#include "net/s3_xml.h"

#define MOST_INPUT 65536
#define EMPTY_PAGE "<ListBucketResult/>"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
    struct gy_str body;
    int status;
    int calls;
};

static gy_status answer(void *self, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    struct peer *p = self;
    (void)req;
    /* Once what was made up, then an end to each listing and to each try. */
    bool first = p->calls++ == 0;
    struct gy_str body = first ? p->body : GY_STR(EMPTY_PAGE);
    struct gy_header h[] = {{GY_STR("Date"), gy_str_sub(p->body, 0, 29)},
                            {GY_STR("Content-Range"), gy_str_sub(p->body, 0, 20)},
                            {GY_STR("ETag"), gy_str_sub(p->body, 0, 300)}};
    GY_TRY(gy_reply_begin(reply, first ? p->status : 200, h, 3, (int64_t)body.n, err));
    GY_TRY(gy_reply_write(reply, body, err));
    return gy_reply_end(reply, err);
}

static const struct gy_call_ops peer_ops = {1, "peer", answer, NULL};

static void no_wait(void *ctx, int64_t ms)
{
    (void)ctx;
    (void)ms;
}

static gy_status see_leaf(void *ctx, struct gy_str path, struct gy_str text, struct gy_err *err)
{
    size_t *n = ctx;
    (void)err;
    if (path.n == 0 || path.n > GY_S3_XML_PATH || text.n > GY_S3_XML_TEXT) {
        abort();
    }
    ++*n;
    return GY_OK;
}

static gy_status see_key(void *ctx, const char *key, int64_t size_bytes, int64_t time_us,
                         struct gy_err *err)
{
    (void)ctx;
    (void)time_us;
    (void)err;
    if (strlen(key) >= GY_S3_MAX_NAME || size_bytes < 0) {
        abort();
    }
    return GY_OK;
}

static gy_status see_upload(void *ctx, const char *key, const char *id, int64_t time_us,
                            struct gy_err *err)
{
    return strlen(id) < GY_S3_MAX_UPLOAD_ID ? see_key(ctx, key, 0, time_us, err) : GY_E_TOOBIG;
}

static gy_status see_bytes(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    (void)err;
    *(size_t *)ctx += bytes.n;
    return GY_OK;
}

static void read_alone(struct gy_str xml)
{
    size_t leaves = 0, again = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf longer;
    gy_buf_init(&longer, GY_MIB);
    gy_status status = gy_s3_xml_each(xml, see_leaf, &leaves, NULL);
    if (gy_str_starts(xml, GY_STR("\xef\xbb\xbf"))) {
        xml = gy_str_sub(xml, 3, SIZE_MAX);
    }
    gy_buf_addc(&longer, "<!-- <a> --> ");
    gy_buf_add(&longer, xml);
    if (gy_s3_xml_each(gy_buf_str(&longer), see_leaf, &again, NULL) != status || leaves != again) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 206, 301, 403, 404, 416, 500, 503};
    static const struct gy_s3_keys keys = {.access = "A", .secret = "S"};
    if (size < 1 || size > MOST_INPUT) {
        return 0;
    }
    int64_t live = gy_mem_live();
    struct gy_str body = gy_str_n((const char *)data + 1, size - 1);
    read_alone(body);
    for (int op = 0; op < 4; op++) {
        struct peer p = {.body = body, .status = statuses[data[0] % 8]};
        struct gy_caller *caller = gy_malloc(sizeof *caller);
        struct gy_s3_options o = {.bucket = "bucket",
                                  .endpoint = "http://h",
                                  .keys = &keys,
                                  .caller = caller,
                                  .wait = no_wait};
        struct gy_s3 *s3 = NULL;
        int64_t n = 0;
        size_t bytes = 0;
        if (!caller) {
            return 0;
        }
        *caller = (struct gy_caller){&peer_ops, &p};
        if (gy_s3_open(&o, &s3, NULL) != GY_OK) {
            abort();
        }
        gy_status status = op == 0   ? gy_s3_list(s3, "p/", see_key, NULL, NULL)
                           : op == 1 ? gy_s3_uploads(s3, "p/", see_upload, NULL, NULL)
                           : op == 2 ? gy_s3_head(s3, "k", &n, &n, NULL)
                                     : gy_s3_get(s3, "k", see_bytes, &bytes, NULL);
        if (n < -1 || (status == GY_OK && op == 3 && p.status == 200 && bytes < body.n)) {
            abort();
        }
        gy_s3_free(s3);
    }
    if (gy_mem_live() != live) {
        abort();
    }
    return 0;
}
