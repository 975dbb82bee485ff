/* SPDX-License-Identifier: Apache-2.0 */
/* gyre replay: what another version would have answered to a logged prediction. */
#include <math.h>

#include "base/id.h"
#include "base/time.h"
#include "cli/logged.h"
#include "serve/gap.h"
#include "serve/rescore.h"

struct replay_opts {
    const char *model;
    double threshold;
};

struct replay {
    const struct gy_shape *shape;
    struct gy_rescore_plan plan;
    struct gy_rescore_batch batch;
    const struct gy_record *parts;
    size_t n_parts;
    uint64_t rows, changed, refused;
};

/* One row, then and now; *ret_changed. */
static void write_row(struct replay *x, const struct gy_record *r, size_t row, struct gy_jw *w)
{
    const struct gy_shape *s = x->shape;
    const double *inputs = r->inputs + row * r->n_inputs;
    const double *outputs = r->outputs + row * r->n_outputs;
    const struct gy_shape_rule *rule = gy_shape_rule(s, r->rules ? &r->rules[row] : NULL);
    double then = gy_shape_score(s, outputs, r->n_outputs), now = NAN, answer = NAN;
    x->batch.n = 0;
    bool scored = gy_rescore_add(&x->batch, &x->plan, inputs);
    if (scored) {
        gy_rescore_run(&x->batch, &x->plan);
        double said = gy_rescore_value(&x->batch, &x->plan, 0, &now);
        answer = gy_rescore_answer(&x->batch, &x->plan, 0, rule, said, now);
    }
    x->rows++;
    x->refused += scored ? 0 : 1;
    x->changed += scored && answer != outputs[0] ? 1 : 0;
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "row", (int64_t)(r->first_row + row));
    gy_jw_key(w, "inputs");
    gy_jw_obj(w);
    for (size_t i = 0; i < r->n_inputs && i < s->n_inputs; i++) {
        char scratch[40];
        struct gy_str text = gy_shape_logged_text(s->config, s->inputs[i], inputs[i], scratch);
        gy_jw_keys(w, s->inputs[i]);
        if (text.p) {
            gy_jw_str(w, text);
        } else if (isnan(inputs[i])) {
            gy_jw_null(w);
        } else {
            gy_jw_f64(w, inputs[i]);
        }
    }
    gy_jw_obj_end(w);
    gy_jw_kv_str(w, "rule", rule ? rule->name : GY_STR_NULL);
    gy_jw_key(w, "then");
    gy_jw_obj(w);
    gy_logged_kv_value(w, "prediction", s, outputs[0]);
    gy_logged_kv_value(w, "score", &(struct gy_shape){.task = GY_TASK_REGRESSION}, then);
    gy_jw_obj_end(w);
    gy_jw_key(w, "now");
    gy_jw_obj(w);
    gy_logged_kv_value(w, "prediction", s, answer);
    gy_logged_kv_value(w, "score", &(struct gy_shape){.task = GY_TASK_REGRESSION}, now);
    if (!scored) {
        gy_jw_kv_strc(w, "error", "a required input is missing");
    }
    gy_jw_obj_end(w);
    gy_logged_kv_value(w, "score_change", &(struct gy_shape){.task = GY_TASK_REGRESSION},
                       now - then);
    gy_jw_kv_bool(w, "changed", scored && answer != outputs[0]);
    gy_jw_obj_end(w);
}

static gy_status write_replay(struct replay *x, struct gy_buf *out, struct gy_err *err)
{
    const struct gy_record *r = x->parts;
    char id[GY_UUID_TEXT], time[32];
    struct gy_jw w;
    gy_uuid_text(r->id, id);
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "prediction_id", id);
    gy_jw_kv_str(&w, "time", gy_str_n(time, gy_time_iso(r->time_us, time)));
    gy_jw_kv_str(&w, "endpoint", r->endpoint);
    gy_jw_kv_i64(&w, "revision", r->revision);
    gy_jw_kv_str(&w, "version_then", r->model_version);
    gy_jw_kv_str(&w, "digest_now", x->plan.info->digest);
    gy_jw_kv_f64(&w, "threshold_now", x->plan.threshold);
    gy_jw_key(&w, "rows");
    gy_jw_arr(&w);
    for (size_t i = 0; i < x->n_parts; i++) {
        for (size_t row = 0; row < x->parts[i].n_rows; row++) {
            write_row(x, &x->parts[i], row, &w);
        }
    }
    gy_jw_arr_end(&w);
    gy_jw_kv_i64(&w, "changed", (int64_t)x->changed);
    gy_jw_kv_i64(&w, "refused", (int64_t)x->refused);
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "the answer", err);
}

static struct gy_str shown(yyjson_val *v, char room[32])
{
    if (yyjson_is_num(v)) {
        return gy_str_n(room, gy_fmt_f64_trim(yyjson_get_num(v), room));
    }
    struct gy_str text = gy_json_val_str(v);
    return text.p ? text : GY_STR("-");
}

static gy_status say_replay(const struct gy_cli *cli, const struct gy_buf *json, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_buf_str(json), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc), *row;
    size_t i, max;
    gy_cli_say(cli,
               "prediction %" GY_STR_F "\n  answered by %" GY_STR_F
               " revision %lld, version %" GY_STR_F "\n",
               GY_STR_A(gy_json_str(root, "prediction_id")),
               GY_STR_A(gy_json_str(root, "endpoint")), (long long)gy_json_i64(root, "revision", 0),
               GY_STR_A(gy_json_str(root, "version_then")));
    yyjson_arr_foreach(gy_json_get(root, "rows"), i, max, row)
    {
        char a[32], b[32], c[32], d[32];
        yyjson_val *then = gy_json_get(row, "then"), *now = gy_json_get(row, "now");
        struct gy_str rule = gy_json_str(row, "rule");
        gy_cli_say(cli,
                   "  row %lld: then %" GY_STR_F " (score %" GY_STR_F "), now %" GY_STR_F
                   " (score %" GY_STR_F ")%s%" GY_STR_F "%s\n",
                   (long long)gy_json_i64(row, "row", 0),
                   GY_STR_A(shown(gy_json_get(then, "prediction"), a)),
                   GY_STR_A(shown(gy_json_get(then, "score"), b)),
                   GY_STR_A(shown(gy_json_get(now, "prediction"), c)),
                   GY_STR_A(shown(gy_json_get(now, "score"), d)), rule.p ? ", rule " : "",
                   GY_STR_A(rule), gy_json_bool(row, "changed", false) ? "  CHANGED" : "");
    }
    return GY_OK;
}

static gy_status run_replay(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct replay_opts *o = opts;
    unsigned char id[16];
    GY_AUTO_DONE(gy_logged_done) struct gy_logged log = {0};
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    const struct gy_logged_revision *revision = NULL;
    struct gy_record *parts = NULL;
    struct replay x = {0};
    if (!o->model) {
        return gy_err_set(err, GY_E_USAGE, "what would which version have answered? --model V");
    }
    GY_TRY(gy_uuid_parse(gy_str_c(cli->argv[0]), id, err));
    GY_TRY(gy_logged_init(&log, cli, err));
    GY_TRY(gy_predlog_find(NULL, log.dir, NULL, id, &cli->arena, &parts, &x.n_parts, err));
    GY_TRY(gy_gap_refuse(parts, x.n_parts, err));
    x.parts = parts;
    log.endpoint = parts->endpoint;
    GY_TRY(gy_logged_revision(&log, parts->revision, &revision, err));
    x.shape = &revision->shape;
    GY_TRY(gy_logged_predictor(&log, o->model, revision->model, &p, err));
    GY_TRY(gy_rescore_plan(p, x.shape, o->threshold < 0 ? NAN : o->threshold, &cli->arena, &x.plan,
                           err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_status st = gy_rescore_batch_init(&x.batch, p, err);
    st = st == GY_OK ? write_replay(&x, &out, err) : st;
    gy_rescore_batch_done(&x.batch);
    gy_rescore_plan_done(&x.plan);
    GY_TRY(st);
    return cli->json ? gy_cli_print_json(cli, &out, err) : say_replay(cli, &out, err);
}

static const struct gy_opt replay_opts[] = {
    {"model", 'm', GY_OPT_STR, offsetof(struct replay_opts, model), "V", NULL,
     "a version's number, NAME/VERSION, models:/NAME@ALIAS or a package folder"},
    {"threshold", 0, GY_OPT_NUM, offsetof(struct replay_opts, threshold), "P", "-1",
     "of a binary answer; -1: the version's own"},
};

static const struct gy_verb verbs[] = {
    {.noun = "replay",
     .args = "PREDICTION_ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "what another version would have answered to a logged prediction",
     .details =
         "The rules before the model decide as they did; where none decided, the version answers\n"
         "with its own threshold, and the revision's rules after the model are asked about that.\n"
         "The prediction itself is not touched.",
     .examples =
         "  gyre replay 01932f4e-7c1a-7000-8000-0123456789ab --model 3\n"
         "  gyre replay 01932f4e-7c1a-7000-8000-0123456789ab --model models:/sepsis@champion "
         "--json",
     .opts = replay_opts,
     .n_opts = sizeof replay_opts / sizeof replay_opts[0],
     .opts_bytes = sizeof(struct replay_opts),
     .run = run_replay},
};

const struct gy_verb_table gy_cmd_replay = GY_VERB_TABLE(verbs);
