/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/logged.h"

#include <math.h>

#include "base/file.h"
#include "cli/model_input.h"

#define BASE "/api/gyre/v1"

gy_status gy_logged_init(struct gy_logged *l, struct gy_cli *cli, struct gy_err *err)
{
    struct gy_home home;
    *l = (struct gy_logged){.cli = cli};
    gy_arena_init(&l->arena, 256 * GY_MIB);
    if (cli->server) {
        (void)gy_err_set(err, GY_E_USAGE, "this reads the log in the server's home folder");
        return gy_err_hint(err, "run it there, with --home instead of --server");
    }
    GY_TRY(gy_cli_caller(cli, &l->caller, err));
    GY_TRY(gy_cli_home(cli, &home, err));
    gy_status st = gy_home_path(&home, "log", l->dir, err);
    gy_home_done(&home);
    GY_TRY(st);
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MIB);
    return gy_call_json(l->caller, "POST", BASE "/log/flush", GY_STR("{}"), &answer, err);
}

void gy_logged_done(struct gy_logged *l)
{
    for (struct gy_logged_revision *v = l->revisions; v; v = v->next) {
        gy_json_free(v->doc);
    }
    l->revisions = NULL;
    gy_arena_done(&l->arena);
}

static gy_status fetch_revision(struct gy_logged *l, int64_t number, struct gy_logged_revision *v,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path, config;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_collect_init(&answer, 64 * GY_MIB);
    gy_buf_init(&path, 16 * GY_KIB);
    gy_buf_init(&config, 64 * GY_MIB);
    gy_buf_addc(&path, BASE "/endpoints/");
    gy_url_encode(&path, l->endpoint, false);
    gy_buf_addf(&path, "/revisions/%lld", (long long)number);
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_call_json(l->caller, "GET", path.p, GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    gy_jw_init(&w, &config);
    gy_jw_val(&w, gy_json_get(root, "config"));
    GY_TRY(gy_buf_check(&config, "a revision", err));
    const struct gy_revision r = {
        .endpoint = l->endpoint, .revision = number, .config = gy_buf_str(&config)};
    GY_TRY(gy_shape_read(&r, &l->arena, &v->doc, &v->shape, err));
    v->number = number;
    v->model = gy_arena_str(&l->arena, gy_json_str(root, "model"));
    return GY_OK;
}

gy_status gy_logged_revision(struct gy_logged *l, int64_t revision,
                             const struct gy_logged_revision **ret, struct gy_err *err)
{
    struct gy_logged_revision *v = l->revisions;
    while (v && v->number != revision) {
        v = v->next;
    }
    if (!v) {
        v = gy_arena_calloc(&l->arena, 1, sizeof *v);
        if (!v) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for a revision");
        }
        GY_TRY(fetch_revision(l, revision, v, err));
        v->next = l->revisions;
        l->revisions = v;
    }
    *ret = v;
    return GY_OK;
}

gy_status gy_logged_shape(void *ctx, int64_t revision, const struct gy_shape **ret,
                          struct gy_err *err)
{
    const struct gy_logged_revision *v = NULL;
    GY_TRY(gy_logged_revision(ctx, revision, &v, err));
    *ret = &v->shape;
    return GY_OK;
}

gy_status gy_logged_predictor(struct gy_logged *l, const char *given, struct gy_str model,
                              struct gy_predictor **ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    int64_t number = 0;
    const char *ref = given;
    if (!gy_path_is_dir(given) && model.n > 0 &&
        gy_parse_i64(gy_str_c(given), 1, INT64_MAX, &number, NULL) == GY_OK) {
        ref = gy_arena_printf(&l->arena, "%" GY_STR_F "/%lld", GY_STR_A(model), (long long)number);
        if (!ref) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
    }
    GY_TRY(gy_cli_model_dir(l->cli, ref, dir, err));
    return gy_predictor_load(dir, ret, err);
}

void gy_logged_kv_value(struct gy_jw *w, const char *key, const struct gy_shape *s, double value)
{
    char scratch[32];
    if (isnan(value)) {
        gy_jw_kv_null(w, key);
    } else if (s->task == GY_TASK_REGRESSION) {
        gy_jw_kv_f64(w, key, value);
    } else {
        gy_jw_kv_str(w, key, gy_shape_text(s, value, scratch));
    }
}
