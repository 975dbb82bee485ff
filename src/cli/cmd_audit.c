/* SPDX-License-Identifier: Apache-2.0 */
/* gyre audit: who did what, and the proof that nobody changed the record of it. */
#include <errno.h>

#include "base/limits.h"
#include "cli/ask.h"

#define BASE "/api/gyre/v1/audit"

struct audit_opts {
    const char *since, *actor, *action, *outcome, *expect, *out;
    int64_t limit;
};

/* ---- list ---- */

static void add_query(struct gy_buf *path, const char *key, const char *value)
{
    if (value) {
        gy_buf_addf(path, "&%s=", key);
        gy_url_encode(path, gy_str_c(value), false);
    }
}

enum { CELLS = 7 };
static const char *const head[CELLS] = {"seq",     "time",    "actor", "action",
                                        "subject", "outcome", "peer"};

/* The newest last, as a log reads. */
static gy_status print_rows(struct gy_cli *cli, yyjson_val *list, struct gy_err *err)
{
    size_t n = yyjson_arr_size(list), i, count;
    yyjson_val *e;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, CELLS * n + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, count, e)
    {
        struct gy_str *c = cells + CELLS * (n - 1 - i);
        c[0] = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(e, "seq", 0));
        c[1] = gy_cli_cell(cli, gy_str_sub(gy_json_str(e, "time"), 0, 19));
        c[2] = gy_cli_cell(cli, gy_json_str(e, "actor"));
        c[3] = gy_cli_cell(cli, gy_json_str(e, "action"));
        c[4] = gy_cli_cell(cli, gy_json_str(e, "subject"));
        c[5] = gy_cli_cell(cli, gy_json_str(e, "outcome"));
        c[6] = gy_cli_cell(cli, gy_json_str(e, "peer"));
    }
    gy_cli_table(cli, head, CELLS, cells, n, (const bool[CELLS]){true});
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct audit_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 64 * GY_KIB);
    gy_buf_addf(&path, BASE "?order=newest&limit=%lld", (long long)o->limit);
    add_query(&path, "since", o->since);
    add_query(&path, "actor", o->actor);
    add_query(&path, "action", o->action);
    add_query(&path, "outcome", o->outcome);
    GY_TRY(gy_buf_check(&path, "a request's path", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &a, err));
    return cli->json ? gy_cli_print_answer(cli, &a, err)
                     : print_rows(cli, gy_json_get(a.root, "rows"), err);
}

/* ---- verify ---- */

static gy_status run_verify(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct audit_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    const char *path = BASE "/verify";
    if (o->expect) {
        GY_TRY(gy_cli_path(cli, BASE "/verify?expect={}", gy_str_c(o->expect), &path, err));
    }
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    bool ok = gy_json_bool(a.root, "ok", false);
    cli->exit_code = ok ? 0 : 1;
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    if (!ok) {
        gy_cli_say(cli, "the audit log is not whole: %" GY_STR_F "\n",
                   GY_STR_A(gy_json_str(a.root, "why")));
        return GY_OK;
    }
    long long seq = (long long)gy_json_i64(a.root, "seq", 0);
    struct gy_str hash = gy_json_str(a.root, "hash");
    gy_cli_say(cli, "%lld rows, whole; keep this elsewhere: %lld:%" GY_STR_F "\n",
               (long long)gy_json_i64(a.root, "rows", 0), seq, GY_STR_A(hash));
    return GY_OK;
}

/* ---- export ---- */

/* A reply that writes the body of a success to a file, and keeps the body of a failure. */
struct to_file {
    struct gy_reply reply;
    FILE *out;
    int status;
    struct gy_buf failure;
};

static gy_status file_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                            size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    struct to_file *t = (struct to_file *)self;
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    t->status = status;
    return GY_OK;
}

static gy_status file_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct to_file *t = (struct to_file *)self;
    if (t->status >= 400) {
        gy_buf_add(&t->failure, bytes); /* bounded; what is cut off is told by its status */
        return GY_OK;
    }
    return fwrite(bytes.p, 1, bytes.n, t->out) == bytes.n
               ? GY_OK
               : gy_err_sys(err, errno, "writing the audit log");
}

static gy_status file_end(struct gy_reply *self, struct gy_err *err)
{
    struct to_file *t = (struct to_file *)self;
    return fflush(t->out) == 0 ? GY_OK : gy_err_sys(err, errno, "writing the audit log");
}

static const struct gy_reply_ops file_ops = {file_begin, file_write, file_end};

static gy_status fetch(struct gy_cli *cli, FILE *out, struct gy_err *err)
{
    struct to_file t = {.reply = {.ops = &file_ops}, .out = out};
    struct gy_request req = {.method = GY_STR("GET"), .path = GY_STR(BASE "/export")};
    struct gy_caller *caller;
    gy_buf_init(&t.failure, 64 * GY_KIB);
    gy_status status = gy_cli_caller(cli, &caller, err);
    if (status == GY_OK) {
        status = gy_call(caller, &req, &t.reply, err);
    }
    if (status == GY_OK && t.status >= 400) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        struct gy_str why = GY_STR_NULL;
        if (gy_json_parse(gy_buf_str(&t.failure), &doc, NULL) == GY_OK) {
            why = gy_json_str(yyjson_doc_get_root(doc), "detail");
        }
        status = gy_err_set(err, gy_status_from_http(t.status), "%" GY_STR_F,
                            GY_STR_A(why.n ? why : gy_str_c(gy_http_reason(t.status))));
    }
    gy_buf_done(&t.failure);
    return status;
}

static gy_status run_export(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct audit_opts *o = opts;
    if (!o->out || strcmp(o->out, "-") == 0) {
        return fetch(cli, stdout, err);
    }
    FILE *out = fopen(o->out, "we");
    if (!out) {
        return gy_err_sys(err, errno, "%s", o->out);
    }
    gy_status status = fetch(cli, out, err);
    if (fclose(out) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "%s", o->out);
    }
    return status;
}

static const struct gy_opt list_options[] = {
    {"since", 0, GY_OPT_STR, offsetof(struct audit_opts, since), "TIME", NULL,
     "not before: 2026-11-01T00:00:00Z"},
    {"actor", 0, GY_OPT_STR, offsetof(struct audit_opts, actor), "NAME", NULL, "by this user"},
    {"action", 0, GY_OPT_STR, offsetof(struct audit_opts, action), "TEXT", NULL,
     "whose action holds TEXT: deploy, login, model-versions"},
    {"outcome", 0, GY_OPT_STR, offsetof(struct audit_opts, outcome), "WORD", NULL,
     "done, denied or failed"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct audit_opts, limit), "N", "50",
     "the newest N, at most 1000"},
};
static const struct gy_opt verify_options[] = {
    {"expect", 0, GY_OPT_STR, offsetof(struct audit_opts, expect), "SEQ:HASH", NULL,
     "what an earlier verify said: notices a log that was made anew"},
};
static const struct gy_opt export_options[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct audit_opts, out), "FILE", NULL,
     "write there instead of standard output"},
};

static const struct gy_verb verbs[] = {
    {.noun = "audit",
     .verb = "list",
     .args = "",
     .summary = "list who did what, the newest last",
     .examples = "  gyre audit list --actor alice --since 2026-11-01T00:00:00Z\n"
                 "  gyre audit list --action deploy --outcome denied --json",
     GY_OPTS(list_options),
     .opts_bytes = sizeof(struct audit_opts),
     .run = run_list},
    {.noun = "audit",
     .verb = "verify",
     .args = "",
     .summary = "check that no row of the audit log was changed, taken out or moved",
     .details = "Exit 1 when the chain is broken. Keep what it prints somewhere else: with "
                "--expect the next check also notices a log that was written anew.",
     .examples = "  gyre audit verify\n  gyre audit verify --json",
     GY_OPTS(verify_options),
     .opts_bytes = sizeof(struct audit_opts),
     .run = run_verify},
    {.noun = "audit",
     .verb = "export",
     .args = "",
     .summary = "print the whole audit log as lines of JSON",
     .examples = "  gyre audit export -o audit.jsonl",
     GY_OPTS(export_options),
     .opts_bytes = sizeof(struct audit_opts),
     .run = run_export},
};

const struct gy_verb_table gy_cmd_audit = GY_VERB_TABLE(verbs);
