/* SPDX-License-Identifier: Apache-2.0 */
/* gyre backup, gyre restore: serve/archive.h for people. A backup is made by the running server, or
 * here when there is none; what else is done with an archive needs no home. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/app.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/lines.h"
#include "flow/erase.h"
#include "serve/archive.h"

static gy_status ask_for_backup(struct gy_cli *cli, struct gy_str body, yyjson_doc **ret_doc,
                                struct gy_err *err)
{
    const struct gy_cli_lines ask = {
        .path = "/api/gyre/v1/backup", .last = "snapshot", .what = "the backup"};
    return gy_cli_ask_lines(cli, &ask, body, ret_doc, err);
}

/* ---- texts ---- */

static gy_status absolute(const char *given, char out[GY_MAX_PATH], struct gy_err *err)
{
    char cwd[GY_MAX_PATH];
    if (given[0] == '/') {
        return snprintf(out, GY_MAX_PATH, "%s", given) < GY_MAX_PATH
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "the path is too long");
    }
    if (!getcwd(cwd, sizeof cwd)) {
        return gy_err_sys(err, errno, "asking for the working folder");
    }
    return gy_path_join(out, GY_MAX_PATH, cwd, given, err);
}

static void write_info(struct gy_jw *w, const struct gy_archive_info *i)
{
    char time[32];
    (void)gy_time_iso(i->point_us, time);
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", i->id);
    gy_jw_kv_strc(w, "point", time);
    gy_jw_kv_i64(w, "schema", i->schema);
    gy_jw_kv_i64(w, "rows", i->rows);
    gy_jw_kv_i64(w, "objects", i->objects);
    gy_jw_kv_i64(w, "object_bytes", i->object_bytes);
    gy_jw_kv_i64(w, "segments", i->segments);
    gy_jw_kv_i64(w, "log_bytes", i->log_bytes);
    gy_jw_obj_end(w);
}

static gy_status print_info(struct gy_cli *cli, const struct gy_archive_info *i, const char *done,
                            struct gy_err *err)
{
    char bytes[32];
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, 64 * GY_KIB);
        gy_jw_init(&w, &out);
        write_info(&w, i);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli,
               "%s %" GY_STR_F ": %lld rows, %lld objects (%s), %lld segments of the prediction "
               "log\n",
               done, GY_STR_A(i->id), (long long)i->rows, (long long)i->objects,
               gy_cli_bytes(i->object_bytes, bytes), (long long)i->segments);
    return GY_OK;
}

/* Progress of what is done here. */
struct local_progress {
    struct gy_cli *cli;
    struct gy_progress bar;
    char phase[64];
};

static gy_status local_tell(void *ctx, const char *phase, int64_t done, int64_t total,
                            struct gy_err *err)
{
    struct local_progress *p = ctx;
    (void)err;
    if (strcmp(p->phase, phase) != 0) {
        if (p->phase[0]) {
            gy_progress_end(&p->bar);
        }
        (void)snprintf(p->phase, sizeof p->phase, "%s", phase);
        gy_progress_start(&p->bar, p->cli, p->phase, total);
    }
    gy_progress_at(&p->bar, done);
    return GY_OK;
}

static void local_end(struct local_progress *p)
{
    if (p->phase[0]) {
        gy_progress_end(&p->bar);
    }
}

/* ---- verbs ---- */

static gy_status run_backup(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    char dir[GY_MAX_PATH], bytes[32], fresh[32];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    GY_TRY(absolute(cli->argv[0], dir, err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "dir", dir);
    gy_jw_obj_end(&w);
    GY_TRY(ask_for_backup(cli, gy_buf_str(&body), &doc, err));
    yyjson_val *s = gy_json_get(yyjson_doc_get_root(doc), "snapshot");
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, 64 * GY_KIB);
        gy_jw_init(&w, &out);
        gy_jw_val(&w, s);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli,
               "snapshot %" GY_STR_F " in %s: %lld rows, %lld objects (%s; %lld of them new, %s), "
               "%lld segments of the prediction log\n",
               GY_STR_A(gy_json_str(s, "id")), dir, (long long)gy_json_i64(s, "rows", 0),
               (long long)gy_json_i64(s, "objects", 0),
               gy_cli_bytes(gy_json_i64(s, "object_bytes", 0), bytes),
               (long long)gy_json_i64(s, "new_objects", 0),
               gy_cli_bytes(gy_json_i64(s, "new_bytes", 0), fresh),
               (long long)gy_json_i64(s, "segments", 0));
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"snapshot", "rows", "objects", "bytes", "log"};
    static const bool right[] = {false, true, true, true, true};
    enum { N = 5 };
    struct gy_archive_info *list = NULL;
    size_t n = 0;
    (void)opts;
    GY_TRY(gy_archive_list(cli->argv[0], &cli->arena, &list, &n, err));
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, 16 * GY_MIB);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_key(&w, "snapshots");
        gy_jw_arr(&w);
        for (size_t i = 0; i < n; i++) {
            write_info(&w, &list[i]);
        }
        gy_jw_arr_end(&w);
        gy_jw_obj_end(&w);
        return gy_cli_print_json(cli, &out, err);
    }
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * N + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "listing snapshots");
    }
    for (size_t i = 0; i < n; i++) {
        char objects[32], log[32];
        cells[i * N] = list[i].id;
        cells[i * N + 1] = gy_cli_cellf(cli, "%lld", (long long)list[i].rows);
        cells[i * N + 2] = gy_cli_cellf(cli, "%lld", (long long)list[i].objects);
        cells[i * N + 3] = gy_cli_cellf(cli, "%s", gy_cli_bytes(list[i].object_bytes, objects));
        cells[i * N + 4] = gy_cli_cellf(cli, "%s", gy_cli_bytes(list[i].log_bytes, log));
    }
    gy_cli_table(cli, head, N, cells, n, right);
    return GY_OK;
}

static struct gy_str id_given(const struct gy_cli *cli)
{
    return cli->argc > 1 ? gy_str_c(cli->argv[1]) : GY_STR_NULL;
}

static gy_status run_verify(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct gy_archive_info info;
    struct local_progress p = {.cli = cli};
    (void)opts;
    gy_status status =
        gy_archive_verify(cli->argv[0], id_given(cli), local_tell, &p, &cli->arena, &info, err);
    local_end(&p);
    return status == GY_OK ? print_info(cli, &info, "whole:", err) : status;
}

struct prune_opts {
    int64_t keep;
    bool yes;
};

static gy_status run_prune(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct prune_opts *o = opts;
    int64_t snapshots = 0, objects = 0, bytes = 0;
    char text[32];
    if (o->keep < 1) {
        return gy_err_set(err, GY_E_USAGE, "--keep takes 1 or more");
    }
    GY_TRY(gy_archive_prune(cli->argv[0], (size_t)o->keep, !o->yes, &snapshots, &objects, &bytes,
                            err));
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, 4 * GY_KIB);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_kv_bool(&w, "removed", o->yes);
        gy_jw_kv_i64(&w, "snapshots", snapshots);
        gy_jw_kv_i64(&w, "objects", objects);
        gy_jw_kv_i64(&w, "bytes", bytes);
        gy_jw_obj_end(&w);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli, "%s %lld snapshots and %lld objects (%s)%s\n",
               o->yes ? "removed" : "would remove", (long long)snapshots, (long long)objects,
               gy_cli_bytes(bytes, text), o->yes ? "" : "; --yes does it");
    return GY_OK;
}

struct restore_opts {
    const char *snapshot;
    struct gy_opt_list erasures;
};

/* A snapshot may be older than erasures: what they took out is taken out of it before anybody can
 * see it. */
struct erasing_again {
    struct gy_cli *cli;
    const struct restore_opts *o;
    struct local_progress progress;
    size_t n;
};

static gy_status erase_by(struct erasing_again *x, struct gy_app *app, const char *ledger,
                          struct gy_err *err)
{
    size_t n = 0;
    const struct gy_erase_source src = {&app->home, app->store, app->objects, NULL};
    const struct gy_erase_options o = {.progress = local_tell, .ctx = &x->progress};
    GY_TRY(gy_erase_again(&src, ledger, &o, &x->cli->arena, &n, err));
    x->n += n;
    return GY_OK;
}

static gy_status erase_again(void *ctx, const char *home, struct gy_err *err)
{
    struct erasing_again *x = ctx;
    char ledger[GY_MAX_PATH];
    GY_AUTO(gy_app_free) struct gy_app *app = NULL;
    const struct gy_app_options o = {.home_dir = home,
                                     .store_url = x->cli->store,
                                     .objects_url = x->cli->objects,
                                     .s3_endpoint = x->cli->s3_endpoint};
    GY_TRY(gy_path_join(ledger, sizeof ledger, x->cli->argv[0], GY_ERASURES_DIR, err));
    if (!gy_path_is_dir(ledger) && x->o->erasures.n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_app_open(&o, &app, err));
    if (gy_path_is_dir(ledger)) {
        GY_TRY(erase_by(x, app, ledger, err));
    }
    for (size_t i = 0; i < x->o->erasures.n; i++) {
        if (!gy_path_is_dir(x->o->erasures.items[i])) {
            return gy_err_set(err, GY_E_NOTFOUND, "no ledger '%s'", x->o->erasures.items[i]);
        }
        GY_TRY(erase_by(x, app, x->o->erasures.items[i], err));
    }
    return GY_OK;
}

static gy_status run_restore(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct restore_opts *o = opts;
    char home[GY_MAX_PATH];
    if (!cli->home) {
        gy_err_set(err, GY_E_USAGE, "--home names the new home");
        return gy_err_hint(err, "gyre restore %s --home DIR", cli->argv[0]);
    }
    GY_TRY(absolute(cli->home, home, err));
    struct erasing_again again = {.cli = cli, .o = o, .progress = {.cli = cli}};
    const struct gy_archive_target to = {.home_dir = home,
                                         .store_url = cli->store,
                                         .objects_url = cli->objects,
                                         .s3_endpoint = cli->s3_endpoint,
                                         .last = erase_again,
                                         .last_ctx = &again};
    struct gy_archive_info info;
    gy_status status =
        gy_archive_restore(cli->argv[0], o->snapshot ? gy_str_c(o->snapshot) : GY_STR_NULL, &to,
                           local_tell, &again.progress, &cli->arena, &info, err);
    local_end(&again.progress);
    GY_TRY(status);
    GY_TRY(print_info(cli, &info, "restored", err));
    if (again.n) {
        gy_cli_note(cli, "%zu erasures were done again\n", again.n);
    }
    bool elsewhere =
        cli->store || cli->objects; /* URLs are not repeated: they may hold passwords */
    gy_cli_note(cli, "next: gyre server --home %s%s\n", home,
                elsewhere ? " with the same --store and --objects" : "");
    return GY_OK;
}

static const struct gy_opt prune_opts[] = {
    {"keep", 0, GY_OPT_INT, offsetof(struct prune_opts, keep), "N", "7", "the newest so many stay"},
    {"yes", 0, GY_OPT_FLAG, offsetof(struct prune_opts, yes), NULL, NULL,
     "remove; without it only say what would go"},
};
static const struct gy_opt restore_opts[] = {
    {"snapshot", 0, GY_OPT_STR, offsetof(struct restore_opts, snapshot), "ID", NULL,
     "which; else the newest"},
    {"erasures", 0, GY_OPT_LIST, offsetof(struct restore_opts, erasures), "DIR", NULL,
     "also what this ledger says was erased: erasures/ of a home (again for more)"},
};

static const struct gy_verb verbs[] = {
    {.noun = "backup",
     .args = "DIR",
     .min_args = 1,
     .max_args = 1,
     .summary = "add a snapshot of database, objects and prediction log to an archive",
     .details = "One point for all three, without stopping anything. DIR is new, empty or an "
                "archive: what earlier snapshots brought is not copied again. A running server "
                "makes it, so DIR is a folder of its machine.",
     .examples = "  gyre backup /backups/gyre\n  gyre backup /backups/gyre --json",
     .run = run_backup},
    {.noun = "backup",
     .verb = "list",
     .args = "DIR",
     .min_args = 1,
     .max_args = 1,
     .summary = "the snapshots of an archive",
     .examples = "  gyre backup list /backups/gyre",
     .run = run_list},
    {.noun = "backup",
     .verb = "verify",
     .args = "DIR [SNAPSHOT]",
     .min_args = 1,
     .max_args = 2,
     .summary = "read a snapshot (the newest) whole and compare every byte",
     .examples = "  gyre backup verify /backups/gyre",
     .run = run_verify},
    {.noun = "backup",
     .verb = "prune",
     .args = "DIR",
     .min_args = 1,
     .max_args = 1,
     .summary = "remove old snapshots and the objects that only they have",
     .examples = "  gyre backup prune /backups/gyre --keep 14\n"
                 "  gyre backup prune /backups/gyre --keep 14 --yes",
     .opts = prune_opts,
     .n_opts = sizeof prune_opts / sizeof prune_opts[0],
     .opts_bytes = sizeof(struct prune_opts),
     .run = run_prune},
    {.noun = "restore",
     .args = "DIR --home NEW",
     .min_args = 1,
     .max_args = 1,
     .summary = "make a new home of a snapshot, verified",
     .details = "What was erased after the snapshot (gyre subject erase) is erased again. "
                "The home must not exist or be empty; --store and --objects restore into a "
                "database and an object store elsewhere. At the end rows are counted and every "
                "object that is named is looked for.",
     .examples = "  gyre restore /backups/gyre --home ./restored\n"
                 "  gyre restore /backups/gyre --home ./h --store postgresql:///gyre",
     .opts = restore_opts,
     .n_opts = sizeof restore_opts / sizeof restore_opts[0],
     .opts_bytes = sizeof(struct restore_opts),
     .run = run_restore},
};

const struct gy_verb_table gy_cmd_backup = GY_VERB_TABLE(verbs);
