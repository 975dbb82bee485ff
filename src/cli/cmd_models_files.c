/* SPDX-License-Identifier: Apache-2.0 */
/* gyre models import, export: model files of other programs come in, and models go out as ONNX. */
#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "cli/cli_internal.h"
#include "cli/made_package.h"
#include "cli/model_input.h"
#include "learn/import.h"
#include "learn/onnx_export.h"
#include "learn/predictor.h"
#include "learn/publish.h"

/* ---- import ---- */

struct import_opts {
    const char *inputs, *target, *experiment, *out;
};

static gy_status answer_import(struct gy_cli *cli, const struct gy_imported *i,
                               const struct gy_published *p, const char *out, struct gy_err *err)
{
    gy_cli_say(cli, "%s, %zu inputs, flavor %s\n", i->made_by, i->n_inputs, i->flavor);
    if (out) {
        gy_cli_say(cli, "package in %s\n", out);
    } else {
        gy_cli_say(cli, "registered as %s, version %lld: %s%s%s\n", cli->argv[0],
                   (long long)p->version, p->servable ? "servable" : "not servable",
                   p->reason[0] ? ", " : "", p->reason);
    }
    if (!cli->json) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    struct gy_jw w;
    gy_buf_init(&json, 4 * GY_KIB);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "made_by", i->made_by);
    gy_jw_kv_strc(&w, "flavor", i->flavor);
    gy_jw_kv_i64(&w, "inputs", (int64_t)i->n_inputs);
    if (out) {
        gy_jw_kv_strc(&w, "out", out);
    } else {
        gy_jw_kv_strc(&w, "name", cli->argv[0]);
        gy_jw_kv_i64(&w, "version", p->version);
        gy_jw_kv_strc(&w, "run_id", p->run_id);
        gy_jw_kv_strc(&w, "digest", p->digest);
        gy_jw_kv_bool(&w, "servable", p->servable);
        gy_jw_kv_strc(&w, "reason", p->reason);
    }
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &json, err);
}

static gy_status import_into(struct gy_cli *cli, const void *opts, const char *dir,
                             struct gy_err *err)
{
    const struct import_opts *o = opts;
    struct gy_imported imported;
    struct gy_published published = {.version = 0};
    struct gy_caller *caller = NULL;
    GY_TRY(gy_import_package(
        cli->argv[1],
        &(struct gy_import_options){.inputs = gy_str_c(o->inputs), .target = gy_str_c(o->target)},
        dir, &imported, err));
    if (!o->out) {
        GY_TRY(gy_cli_caller(cli, &caller, err));
        GY_TRY(gy_publish_folder(caller, dir,
                                 &(struct gy_publish_options){.experiment = gy_str_c(o->experiment),
                                                              .run_name = gy_str_c("import"),
                                                              .register_as = gy_str_c(cli->argv[0]),
                                                              .start_us = gy_now_us()},
                                 &published, err));
    }
    return answer_import(cli, &imported, &published, o->out, err);
}

static gy_status run_import(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct import_opts *o = opts;
    return gy_cli_make_package(cli, o->out, import_into, o, err);
}

/* ---- export ---- */

struct export_opts {
    const char *format, *out;
};

static gy_status run_export(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct export_opts *o = opts;
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    gy_buf_init(&file, GY_ONNX_MAX_FILE);
    if (strcmp(o->format, "onnx") != 0) {
        return gy_err_set(err, GY_E_USAGE, "--format %s: onnx is what there is", o->format);
    }
    if (!o->out) {
        return gy_err_set(err, GY_E_USAGE, "where to? -o FILE");
    }
    GY_TRY(gy_cli_model_dir(cli, cli->argv[0], dir, err));
    GY_TRY(gy_onnx_export(dir, &file, err));
    GY_TRY(gy_file_write(o->out, gy_buf_str(&file), 0666, err));
    gy_cli_say(cli, "%s: %zu bytes of ONNX\n", o->out, file.n);
    if (!cli->json) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    struct gy_jw w;
    gy_buf_init(&json, 4 * GY_KIB);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "out", o->out);
    gy_jw_kv_strc(&w, "format", "onnx");
    gy_jw_kv_i64(&w, "bytes", (int64_t)file.n);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &json, err);
}

static const struct gy_opt import_options[] = {
    {"inputs", 'i', GY_OPT_STR, offsetof(struct import_opts, inputs), "A,B,C", NULL,
     "names of the inputs in the order of the model; else those that the file has"},
    {"target", 't', GY_OPT_STR, offsetof(struct import_opts, target), "NAME", NULL,
     "the column that is predicted"},
    {"experiment", 'e', GY_OPT_STR, offsetof(struct import_opts, experiment), "NAME", NULL,
     "where the run goes that keeps the files"},
    {"output", 'o', GY_OPT_STR, offsetof(struct import_opts, out), "DIR", NULL,
     "only make the package folder, register nothing"},
};
static const struct gy_opt export_options[] = {
    {"format", 'f', GY_OPT_STR, offsetof(struct export_opts, format), "FORMAT", "onnx", "onnx"},
    {"output", 'o', GY_OPT_STR, offsetof(struct export_opts, out), "FILE", NULL,
     "the file to write"},
};
static const struct gy_verb verbs[] = {
    {"models", "import", "NAME FILE", 2, 2, "register a model file of another program",
     "XGBoost (.json, .ubj of 1.x to 3.x), LightGBM (text) and ONNX are told by what is in the "
     "file.\nThe file becomes a package with a signature, is stored with a run, registered and "
     "proven.",
     "gyre models import sepsis model.ubj --inputs HR,Resp,Temp\n"
     "gyre models import churn model.txt\ngyre models import digits net.onnx -o package\n",
     GY_OPTS(import_options), sizeof(struct import_opts), run_import},
    {"models", "export", "MODEL", 1, 1, "write a model as one ONNX file",
     "MODEL is a package folder or a registered model. The inputs keep their names, the feature "
     "steps become operators;\nthe outputs are label and probabilities, or the value. ONNX Runtime "
     "agrees to 1e-5.",
     "gyre models export sepsis@champion -o sepsis.onnx\ngyre models export ./package -o m.onnx\n",
     GY_OPTS(export_options), sizeof(struct export_opts), run_export},
};
const struct gy_verb_table gy_cmd_models_files = GY_VERB_TABLE(verbs);
