/* SPDX-License-Identifier: Apache-2.0 */
/* Alias routes: an endpoint's own path, whose body is one flat JSON object, a list of them, a form
 * of multipart/form-data, or an image. The table of endpoints knows the paths; mapping.h what is
 * computed; `/predict` and its like belong to the default endpoint where no alias has them. */
#include <math.h>

#include "net/multipart.h"
#include "serve/parse_internal.h"
#include "serve/protocol.h"

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    (void)ret;
    return gy_alias_is_plain(path); /* gy_table_route finds the others */
}

static const struct gy_alias *alias_of(const struct gy_ask *ask, const struct gy_endpoint *e)
{
    return ask->alias ? ask->alias : &e->plain;
}

/* ---- forms ---- */

static bool is_image(const struct gy_infer_field *f)
{
    return f->input && f->input->kind == GY_INPUT_IMAGE;
}

static gy_status number(const struct gy_infer_field *f, struct gy_str text, double *ret,
                        struct gy_err *err)
{
    double v = NAN;
    if (text.n == 0) {
        return f->required ? gy_err_set(err, GY_E_INVALID,
                                        "field '%" GY_STR_F "' must not be empty", GY_STR_A(f->key))
                           : GY_OK;
    }
    if (gy_parse_f64(text, &v, NULL) != GY_OK || !isfinite(v)) {
        return gy_err_set(err, GY_E_INVALID,
                          "field '%" GY_STR_F "' must be a number, not '%" GY_STR_F "'",
                          GY_STR_A(f->key), GY_STR_A(gy_str_sub(text, 0, 40)));
    }
    *ret = v;
    return GY_OK;
}

static gy_status take_part(const struct gy_infer_shape *shape, struct gy_part *part,
                           struct gy_seen *seen, struct gy_infer_request *q, struct gy_buf *bytes,
                           struct gy_err *err)
{
    size_t field = gy_infer_field_find(shape, part->name, 0, true);
    if (field == SIZE_MAX) {
        return GY_OK; /* as an unknown key */
    }
    const struct gy_infer_field *f = &shape->fields[field];
    if (gy_seen_test_set(seen, field)) {
        return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' is there twice",
                          GY_STR_A(f->key));
    }
    struct gy_request all = {.body = part->body};
    gy_buf_reset(bytes);
    GY_TRY(gy_req_read_body(&all, bytes, err));
    struct gy_str text = is_image(f) ? gy_buf_str(bytes) : gy_str_trim(gy_buf_str(bytes));
    return f->input
               ? gy_infer_text(shape, q, field, 0, f->key, text, "text", &q->values[field], err)
               : number(f, text, &q->values[field], err);
}

static gy_status all_there(const struct gy_infer_shape *shape, struct gy_seen *seen,
                           struct gy_err *err)
{
    for (size_t i = 0; i < shape->n_inputs; i++) {
        if (!gy_seen_has(seen, i)) {
            return gy_err_set(err, GY_E_INVALID, "field '%" GY_STR_F "' is missing",
                              GY_STR_A(shape->fields[i].key));
        }
    }
    return GY_OK;
}

static gy_status read_form(const struct gy_infer_shape *shape, struct gy_str content_type,
                           struct gy_str body, struct gy_infer_request *q, struct gy_err *err)
{
    struct gy_mem_reader in;
    struct gy_seen seen = {{0}};
    struct gy_part part;
    bool more = true;
    GY_AUTO(gy_multipart_free) struct gy_multipart *form = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_INFER_MAX_BODY);
    GY_TRY(gy_multipart_open(gy_mem_reader_init(&in, body), content_type, &form, err));
    GY_TRY(gy_infer_rows(q, shape, 1, err));
    for (;;) {
        GY_TRY(gy_multipart_next(form, &part, &more, err));
        if (!more) {
            return all_there(shape, &seen, err);
        }
        GY_TRY(take_part(shape, &part, &seen, q, &bytes, err));
    }
}

/* ---- an image as it is ---- */

static bool sends_image(struct gy_str content_type)
{
    return content_type.n > 6 && gy_str_ieq(gy_str_sub(content_type, 0, 6), GY_STR("image/"));
}

static gy_status read_picture(const struct gy_infer_shape *shape, struct gy_str body,
                              struct gy_infer_request *q, struct gy_err *err)
{
    if (shape->n_inputs != 1 || !is_image(&shape->fields[0])) {
        return gy_err_set(err, GY_E_INVALID,
                          "the model takes more than one image: send JSON or multipart/form-data");
    }
    GY_TRY(gy_infer_rows(q, shape, 1, err));
    return gy_infer_text(shape, q, 0, 0, shape->fields[0].key, body, "text", &q->values[0], err);
}

/* ---- reading ---- */

static bool is_list(struct gy_str body)
{
    struct gy_str text = gy_str_trim(body);
    return text.n > 0 && text.p[0] == '[';
}

static gy_status read_flat(const struct gy_ask *ask, const struct gy_request *req,
                           const struct gy_endpoint *stable, struct gy_str body,
                           struct gy_infer_request *q, struct gy_err *err)
{
    const struct gy_alias *alias = alias_of(ask, stable);
    struct gy_str type = gy_req_header(req, "Content-Type");
    bool form = type.p && gy_multipart_is(type), picture = type.p && sends_image(type);
    if (form || picture) {
        gy_infer_request_reset(q);
        q->outputs = UINT32_MAX;
        GY_TRY(form ? read_form(&alias->shape, type, body, q, err)
                    : read_picture(&alias->shape, body, q, err));
    } else {
        GY_TRY(gy_infer_parse(GY_INFER_FLAT, &alias->shape, body, q, err));
        q->asked = is_list(body);
    }
    return alias->mapping.fields ? gy_mapping_apply(&alias->mapping, &stable->shape, q, err)
                                 : GY_OK;
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    out->status = 200;
    out->content_type = "application/json";
    gy_infer_answer(e, alias_of(ask, e), w, prediction_id, out->body);
}

static void fail(const struct gy_ask *ask, const struct gy_err *failed, struct gy_fast_reply *out)
{
    if (!ask->alias || ask->alias->error.n == 0) {
        gy_protocol_fail_json(ask, failed, out);
        return;
    }
    out->status = gy_infer_http(failed->code);
    out->content_type = "application/json";
    const struct gy_template_values v = {.message = gy_str_c(failed->msg), .status = out->status};
    gy_template_write(&ask->alias->error, &v, out->body);
}

const struct gy_protocol gy_protocol_alias = {
    .ops_version = 1,
    .name = "alias",
    .claims = claims,
    .read = read_flat,
    .answer = answer,
    .fail = fail,
};
