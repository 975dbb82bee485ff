/* SPDX-License-Identifier: Apache-2.0 */
/* gyre user, gyre workspace: who may log in, what each may where, and the workspaces. */
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/password.h"
#include "store/users.h"

#define BASE "/api/gyre/v1/users"
#define WORKSPACES "/api/3.0/mlflow/workspaces"

struct user_opts {
    const char *role, *in, *description;
    bool service, password, password_stdin, no_password;
};

/* ---- printing ---- */

static struct gy_str grants_text(struct gy_cli *cli, yyjson_val *user)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    yyjson_val *grants = gy_json_get(user, "grants"), *key;
    gy_buf_init(&b, GY_MIB);
    if (!yyjson_is_obj(grants)) {
        return GY_STR_NULL;
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(grants);
    while ((key = yyjson_obj_iter_next(&it))) {
        gy_buf_addf(&b, "%s%" GY_STR_F ":%" GY_STR_F, b.n ? " " : "",
                    GY_STR_A(gy_json_val_str(key)),
                    GY_STR_A(gy_json_val_str(yyjson_obj_iter_get_val(key))));
    }
    return gy_cli_cell(cli, gy_buf_str(&b));
}

static struct gy_str login_text(yyjson_val *u)
{
    if (gy_json_bool(u, "disabled", false)) {
        return GY_STR("disabled");
    }
    return gy_json_bool(u, "password", false) ? GY_STR("password, tokens") : GY_STR("tokens");
}

static void user_cells(struct gy_cli *cli, yyjson_val *u, struct gy_str *c)
{
    c[0] = gy_cli_cell(cli, gy_json_str(u, "name"));
    c[1] = gy_json_bool(u, "service", false) ? GY_STR("service") : GY_STR("person");
    c[2] = grants_text(cli, u);
    c[3] = login_text(u);
    c[4] = gy_cli_cell(cli, gy_str_sub(gy_json_str(u, "last_login"), 0, 19));
    c[5] = gy_json_bool(u, "from_file", false) ? GY_STR("file") : GY_STR("hand");
}

enum { USER_CELLS = 6 };
static const char *const user_head[USER_CELLS] = {"user",  "kind",       "roles",
                                                  "login", "last login", "from"};

static gy_status print_user(struct gy_cli *cli, const struct gy_cli_answer *a, struct gy_err *err)
{
    struct gy_str cells[USER_CELLS];
    if (cli->json) {
        return gy_cli_print_answer(cli, a, err);
    }
    user_cells(cli, a->root, cells);
    gy_cli_table(cli, user_head, USER_CELLS, cells, 1, (const bool[USER_CELLS]){false});
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    (void)opts;
    GY_TRY(gy_cli_ask(cli, "GET", BASE, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "users"), *u;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, USER_CELLS * yyjson_arr_size(list) + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, u)
    {
        user_cells(cli, u, cells + USER_CELLS * i);
    }
    gy_cli_table(cli, user_head, USER_CELLS, cells, yyjson_arr_size(list),
                 (const bool[USER_CELLS]){false});
    return GY_OK;
}

/* ---- asking ---- */

/* `suffix` follows the user's name, "{}" in it the second argument. */
static gy_status ask_about(struct gy_cli *cli, const char *method, const char *suffix,
                           const char *inner, const struct gy_buf *body, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    const char *head;
    gy_buf_init(&path, 64 * GY_KIB);
    GY_TRY(gy_cli_path(cli, BASE "/{}", gy_str_c(cli->argv[0]), &head, err));
    gy_buf_addc(&path, head);
    gy_buf_addc(&path, suffix);
    if (inner) {
        gy_url_encode(&path, gy_str_c(inner), false);
    }
    GY_TRY(gy_buf_check(&path, "a request's path", err));
    GY_TRY(gy_cli_ask(cli, method, path.p, body ? gy_buf_str(body) : GY_STR_NULL, &a, err));
    return print_user(cli, &a, err);
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    return ask_about(cli, "GET", "", NULL, NULL, err);
}

static gy_status run_add(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct user_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_secret password = gy_secret_of(GY_STR_NULL);
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    if (o->password || o->password_stdin) {
        GY_TRY(gy_cli_password(cli, o->password_stdin, &password, err));
    }
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "name", cli->argv[0]);
    gy_jw_kv_bool(&w, "service", o->service);
    gy_jw_kv_str(&w, "password", gy_secret_reveal(password));
    if (o->role) {
        gy_jw_key(&w, "grants");
        gy_jw_obj(&w);
        gy_jw_keys(&w, gy_str_c(o->in));
        gy_jw_strc(&w, o->role);
        gy_jw_obj_end(&w);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE, gy_buf_str(&body), &a, err));
    return print_user(cli, &a, err);
}

static gy_status run_grant(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct user_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, GY_KIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "role", cli->argv[1]);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    return ask_about(cli, "PUT", "/grants/", o->in, &body, err);
}

static gy_status run_revoke(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct user_opts *o = opts;
    return ask_about(cli, "DELETE", "/grants/", o->in, NULL, err);
}

static gy_status run_passwd(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct user_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_secret password = gy_secret_of(GY_STR_NULL);
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    if (!o->no_password) {
        GY_TRY(gy_cli_password(cli, o->password_stdin, &password, err));
    }
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "password", gy_secret_reveal(password));
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    return ask_about(cli, "PUT", "/password", NULL, &body, err);
}

static gy_status run_disable(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    return ask_about(cli, "POST", "/disable", NULL, NULL, err);
}

static gy_status run_enable(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    return ask_about(cli, "POST", "/enable", NULL, NULL, err);
}

/* For a file of users; asks no server. */
static gy_status run_hash(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct user_opts *o = opts;
    char hash[GY_PASSWORD_HASH_TEXT];
    struct gy_secret password;
    GY_TRY(gy_cli_password(cli, o->password_stdin, &password, err));
    GY_TRY(gy_password_hash(password, hash, err));
    if (!cli->json) {
        gy_cli_say(cli, "%s\n", hash);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "password_hash", hash);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status run_whoami(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    (void)opts;
    GY_TRY(gy_cli_ask(cli, "GET", "/api/gyre/v1/whoami", GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    gy_cli_say(cli, "%" GY_STR_F ": %" GY_STR_F " in the workspace %" GY_STR_F "\n",
               GY_STR_A(gy_json_str(a.root, "actor")), GY_STR_A(gy_json_str(a.root, "role")),
               GY_STR_A(gy_json_str(a.root, "workspace")));
    return GY_OK;
}

/* ---- workspaces ---- */

static gy_status run_workspaces(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"workspace", "description"};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    (void)opts;
    cli->workspace = NULL; /* which there are does not depend on the one that is worked in */
    GY_TRY(gy_cli_ask(cli, "GET", WORKSPACES, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "workspaces"), *s;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, 2 * yyjson_arr_size(list) + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, s)
    {
        cells[2 * i] = gy_cli_cell(cli, gy_json_str(s, "name"));
        cells[2 * i + 1] = gy_cli_cell(cli, gy_json_str(s, "description"));
    }
    gy_cli_table(cli, head, 2, cells, yyjson_arr_size(list), (const bool[2]){false});
    return GY_OK;
}

static gy_status run_create(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct user_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    cli->workspace = NULL;
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "name", cli->argv[0]);
    gy_jw_kv_str(&w, "description", gy_str_c(o->description));
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", WORKSPACES, gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    gy_cli_say(cli, "workspace %s\n", cli->argv[0]);
    return GY_OK;
}

static gy_status run_delete(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect c;
    struct gy_caller *caller;
    const char *path;
    (void)opts;
    cli->workspace = NULL;
    gy_collect_init(&c, GY_MIB);
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_cli_path(cli, WORKSPACES "/{}", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_call_json(caller, "DELETE", path, GY_STR_NULL, &c, err)); /* 204, nothing to read */
    if (!cli->json) {
        gy_cli_say(cli, "workspace %s is gone\n", cli->argv[0]);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "deleted", cli->argv[0]);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* ---- the table ---- */

#define IN_OPTION                                                                    \
    {                                                                                \
        "in", 0, GY_OPT_STR, offsetof(struct user_opts, in), "WORKSPACE", "default", \
            "the workspace of the role; '*' is every one"                            \
    }
#define STDIN_OPTION                                                                              \
    {                                                                                             \
        "password-stdin", 0, GY_OPT_FLAG, offsetof(struct user_opts, password_stdin), NULL, NULL, \
            "read the password from standard input"                                               \
    }

static const struct gy_opt add_options[] = {
    {"role", 0, GY_OPT_STR, offsetof(struct user_opts, role), "ROLE", NULL,
     "viewer, reviewer, operator or admin"},
    IN_OPTION,
    {"service", 0, GY_OPT_FLAG, offsetof(struct user_opts, service), NULL, NULL,
     "a program, not a person"},
    {"password", 0, GY_OPT_FLAG, offsetof(struct user_opts, password), NULL, NULL,
     "ask for a password on the terminal"},
    STDIN_OPTION,
};
static const struct gy_opt grant_options[] = {IN_OPTION};
static const struct gy_opt hash_options[] = {STDIN_OPTION};
static const struct gy_opt passwd_options[] = {
    STDIN_OPTION,
    {"none", 0, GY_OPT_FLAG, offsetof(struct user_opts, no_password), NULL, NULL,
     "take the password away: tokens only"},
};
static const struct gy_opt create_options[] = {
    {"description", 0, GY_OPT_STR, offsetof(struct user_opts, description), "TEXT", NULL,
     "what it is for"},
};

#define WITH(options) .opts = (options), .n_opts = sizeof(options) / sizeof((options)[0])
#define USER_VERB(verb_, args_, n_, summary_, examples_, run_)                              \
    .noun = "user", .verb = (verb_), .args = (args_), .min_args = (n_), .max_args = (n_),   \
    .summary = (summary_), .examples = (examples_), .opts_bytes = sizeof(struct user_opts), \
    .run = (run_)

static const struct gy_verb verbs[] = {
    {USER_VERB("add", "NAME", 1, "add a user or a service account",
               "  gyre user add alice --role operator --password\n"
               "  gyre user add ci --service --role operator\n"
               "  gyre user add carol --role viewer --in team-a",
               run_add),
     WITH(add_options)},
    {USER_VERB("list", "", 0, "list users and their roles", "  gyre user list", run_list)},
    {USER_VERB("show", "NAME", 1, "show a user", "  gyre user show alice --json", run_show)},
    {USER_VERB("grant", "NAME ROLE", 2, "give a user a role in a workspace",
               "  gyre user grant alice admin\n  gyre user grant alice viewer --in team-a\n"
               "  gyre user grant auditor viewer --in '*'",
               run_grant),
     WITH(grant_options)},
    {USER_VERB("revoke", "NAME", 1, "take a user's role in a workspace",
               "  gyre user revoke alice --in team-a", run_revoke),
     WITH(grant_options)},
    {USER_VERB("passwd", "NAME", 1, "set a user's password",
               "  gyre user passwd alice\n  gyre user passwd alice --password-stdin < secret.txt",
               run_passwd),
     WITH(passwd_options)},
    {USER_VERB("disable", "NAME", 1, "let a user in no more; what was done stays",
               "  gyre user disable alice", run_disable)},
    {USER_VERB("enable", "NAME", 1, "let a user in again", "  gyre user enable alice", run_enable)},
    {USER_VERB("hash", "", 0, "print the password_hash for a file of users",
               "  gyre user hash --password-stdin < secret.txt", run_hash),
     WITH(hash_options)},
    {USER_VERB("whoami", "", 0, "show who you are to the server, and your role",
               "  gyre user whoami\n  GYRE_TOKEN=gyre_... gyre user whoami --server "
               "https://gyre.example.org",
               run_whoami)},
    {.noun = "workspace",
     .verb = "list",
     .args = "",
     .summary = "list the workspaces that you may see",
     .examples = "  gyre workspace list",
     .opts_bytes = sizeof(struct user_opts),
     .run = run_workspaces},
    {.noun = "workspace",
     .verb = "create",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "make a workspace: its own experiments, runs and models",
     .examples = "  gyre workspace create team-a --description 'the ICU team'",
     GY_OPTS(create_options),
     .opts_bytes = sizeof(struct user_opts),
     .run = run_create},
    {.noun = "workspace",
     .verb = "delete",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "delete a workspace that is empty",
     .examples = "  gyre workspace delete team-a",
     .opts_bytes = sizeof(struct user_opts),
     .run = run_delete},
};

const struct gy_verb_table gy_cmd_user = GY_VERB_TABLE(verbs);
