/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of foreign stores: any bytes are read as a metric line, a meta.yaml, an MLmodel, a URI or
 * a line of a moved store, or are refused with a message. The first byte chooses. What was read as
 * a run is written and read back. */
#include "base/yaml.h"
#include "cli/move.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(gy_status status, const struct gy_err *err)
{
    GY_REQUIRE(status == GY_OK || (err->code == status && err->msg[0]));
}

static void metas(struct gy_str text, struct gy_arena *a)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    struct gy_err err[5] = {GY_ERR_INIT, GY_ERR_INIT, GY_ERR_INIT, GY_ERR_INIT, GY_ERR_INIT};
    struct gy_experiment e;
    struct gy_run r;
    struct gy_logged_model l;
    struct gy_registered_model m;
    struct gy_transfer_version v;
    if (gy_yaml_parse(text, "meta.yaml", &y, &err[0]) != GY_OK) {
        return;
    }
    check(gy_move_meta_experiment(y, a, &e, &err[0]), &err[0]);
    check(gy_move_meta_run(y, a, &r, &err[1]), &err[1]);
    check(gy_move_meta_logged(y, a, &l, &err[2]), &err[2]);
    check(gy_move_meta_model(y, a, &m, &err[3]), &err[3]);
    check(gy_move_meta_version(y, a, &v, &err[4]), &err[4]);
}

static void line(struct gy_str text, struct gy_arena *a)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *doc2 = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_run r, back;
    struct gy_transfer_points p;
    struct gy_logged_model l;
    struct gy_transfer_version v;
    if (gy_json_parse(text, &doc, NULL) != GY_OK) {
        return;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    (void)gy_transfer_read_points(root, a, &p,
                                  &err); /* any status will do: no crash is the point */
    (void)gy_transfer_read_logged(root, a, &l, &err);
    (void)gy_transfer_read_version(root, a, &v, &err);
    if (gy_transfer_read_run(root, a, &r, &err) != GY_OK) {
        return;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_transfer_write_run(&w, &r);
    GY_REQUIRE(gy_json_parse(gy_buf_str(&out), &doc2, &err) == GY_OK);
    GY_REQUIRE(gy_transfer_read_run(yyjson_doc_get_root(doc2), a, &back, &err) == GY_OK);
    GY_REQUIRE(gy_str_eq(r.id, back.id) && r.n_params == back.n_params && r.n_tags == back.n_tags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_err err = GY_ERR_INIT;
    struct gy_metric m;
    char path[GY_MAX_PATH];
    enum gy_move_serve serve;
    const char *why = NULL;
    if (size == 0) {
        return 0;
    }
    struct gy_str text = gy_str_n((const char *)data + 1, size - 1);
    gy_arena_init(&a, 64 * GY_MIB);
    switch (data[0]) {
    case 'l':
        check(gy_move_metric_line(text, false, &m, &err), &err);
        break;
    case 'L':
        check(gy_move_metric_line(text, true, &m, &err), &err);
        break;
    case 'y':
        metas(text, &a);
        break;
    case 'm':
        check(gy_move_servable(text, &a, &serve, &why, &err), &err);
        break;
    case 'u':
        if (gy_move_local(text, "/base", "/root", path)) {
            GY_REQUIRE(path[0] && strlen(path) < GY_MAX_PATH);
        }
        GY_REQUIRE(gy_move_plain(text).n <= text.n);
        break;
    default:
        line(text, &a);
    }
    return 0;
}
