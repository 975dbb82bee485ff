/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "store/url.h"

enum { MAX_WORDS = 4096 };

/* Options that every command has. */
struct global_opts {
    const char *home, *server, *log, *color, *store, *objects, *s3_endpoint, *workspace;
    bool json, quiet, help;
};

static const struct gy_opt global_opts[] = {
    {"home", 0, GY_OPT_STR, offsetof(struct global_opts, home), "DIR", NULL, "the .gyre folder"},
    {"server", 0, GY_OPT_STR, offsetof(struct global_opts, server), "URL", NULL,
     "talk to this server"},
    {"store", 0, GY_OPT_STR, offsetof(struct global_opts, store), "URL", NULL,
     "metadata: postgresql://.. (else GYRE_STORE_URL, else gyre.db in the home)"},
    {"objects", 0, GY_OPT_STR, offsetof(struct global_opts, objects), "URL", NULL,
     "bytes: s3://bucket/prefix or a folder (else GYRE_OBJECTS_URL, else objects/ in the home)"},
    {"s3-endpoint", 0, GY_OPT_STR, offsetof(struct global_opts, s3_endpoint), "URL", NULL,
     "the S3 server (else GYRE_S3_ENDPOINT)"},
    {"workspace", 0, GY_OPT_STR, offsetof(struct global_opts, workspace), "NAME", NULL,
     "work in this workspace (else GYRE_WORKSPACE, else default)"},
    {"log", 0, GY_OPT_STR, offsetof(struct global_opts, log), "SPEC", NULL,
     "levels: info or net=debug,warn"},
    {"color", 0, GY_OPT_STR, offsetof(struct global_opts, color), "WHEN", NULL,
     "auto, always or never"},
    {"json", 0, GY_OPT_FLAG, offsetof(struct global_opts, json), NULL, NULL,
     "print the result as JSON"},
    {"quiet", 'q', GY_OPT_FLAG, offsetof(struct global_opts, quiet), NULL, NULL,
     "say nothing but errors"},
    {"help", 'h', GY_OPT_FLAG, offsetof(struct global_opts, help), NULL, NULL, "this text"},
};

/* A flag name, with '_' and '-' the same, up to '=' or the end. */
static bool same_name(const char *given, size_t n, const char *name)
{
    if (strlen(name) != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = given[i] == '_' ? '-' : given[i];
        if (c != name[i]) {
            return false;
        }
    }
    return true;
}

static const struct gy_opt *find_opt(const struct gy_opt *opts, size_t n_opts, const char *word,
                                     size_t n)
{
    for (size_t i = 0; i < n_opts; i++) {
        if (word[1] == '-' ? same_name(word + 2, n - 2, opts[i].name)
                           : n == 2 && word[1] == opts[i].letter) {
            return &opts[i];
        }
    }
    return NULL;
}

static gy_status add_to_list(struct gy_cli *cli, struct gy_opt_list *list, const char *value,
                             struct gy_err *err)
{
    if (list->n % 16 == 0) {
        const char **items = gy_arena_calloc(&cli->arena, list->n + 16, sizeof *items);
        if (!items) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for options");
        }
        if (list->n) {
            memcpy(items, list->items, list->n * sizeof *items);
        }
        list->items = items;
    }
    list->items[list->n++] = value;
    return GY_OK;
}

static gy_status set_opt(struct gy_cli *cli, const struct gy_opt *opt, void *into,
                         const char *value, struct gy_err *err)
{
    char *at = (char *)into + opt->offset;
    switch (opt->kind) {
    case GY_OPT_FLAG:
        *(bool *)(void *)at = true;
        return GY_OK;
    case GY_OPT_STR:
        *(const char **)(void *)at = value;
        return GY_OK;
    case GY_OPT_INT:
        if (gy_parse_i64(gy_str_c(value), INT64_MIN, INT64_MAX, (int64_t *)(void *)at, NULL) !=
            GY_OK) {
            return gy_err_set(err, GY_E_USAGE, "--%s takes a whole number, not '%s'", opt->name,
                              value);
        }
        return GY_OK;
    case GY_OPT_NUM:
        if (gy_parse_f64(gy_str_c(value), (double *)(void *)at, NULL) != GY_OK) {
            return gy_err_set(err, GY_E_USAGE, "--%s takes a number, not '%s'", opt->name, value);
        }
        return GY_OK;
    case GY_OPT_LIST:
        return add_to_list(cli, (struct gy_opt_list *)(void *)at, value, err);
    }
    return gy_err_set(err, GY_E_USAGE, "--%s can not be set", opt->name);
}

struct parser {
    struct gy_cli *cli;
    const struct gy_verb *verb;
    void *opts;
    struct global_opts globals;
};

/* One "-x", "--name", "--name=value" or "--name value"; *i moves past a value that was taken. */
static gy_status parse_one(struct parser *p, int argc, char **argv, int *i, struct gy_err *err)
{
    char *word = argv[*i];
    const char *eq = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t n = eq ? (size_t)(eq - word) : strlen(word);
    void *into = p->opts;
    const struct gy_opt *opt = find_opt(p->verb->opts, p->verb->n_opts, word, n);
    if (!opt) {
        opt = find_opt(global_opts, sizeof global_opts / sizeof global_opts[0], word, n);
        into = &p->globals;
    }
    if (!opt) {
        gy_err_set(err, GY_E_USAGE, "no such option: %.*s", (int)n, word);
        return gy_err_hint(err, "gyre %s%s%s -h lists them", p->verb->noun,
                           p->verb->verb ? " " : "", p->verb->verb ? p->verb->verb : "");
    }
    const char *value = eq ? eq + 1 : NULL;
    if (opt->kind == GY_OPT_FLAG) {
        if (value) {
            return gy_err_set(err, GY_E_USAGE, "--%s takes no value", opt->name);
        }
    } else if (!value) {
        if (*i + 1 >= argc) {
            return gy_err_set(err, GY_E_USAGE, "--%s needs a value (%s)", opt->name, opt->arg);
        }
        value = argv[++*i];
    }
    return set_opt(p->cli, opt, into, value, err);
}

/* Others see a process's command line: a password in it is written over. */
static void hide_secret(char *url)
{
    char shown[GY_STORE_URL_SHOWN];
    size_t n = strlen(url);
    if (strcmp(gy_store_url_show(url, shown), url) != 0) {
        memset(url, 0, n);
        memcpy(url, shown, strlen(shown) < n ? strlen(shown) : n);
    }
}

/* Of the option, else of the variable, where an empty one counts as none. Children that this
 * command starts find it in their environment, which nobody else can read. */
static gy_status url_of(struct gy_cli *cli, const char *given, const char *variable,
                        const char **ret, struct gy_err *err)
{
    *ret = NULL;
    if (given && given[0]) {
        *ret = gy_arena_strdup(&cli->arena, gy_str_c(given));
        if (!*ret || setenv(variable, given, 1) != 0) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for options");
        }
        hide_secret((char *)given); /* a word of argv */
        return GY_OK;
    }
    const char *value = getenv(variable);
    *ret = value && value[0] && !given ? value : NULL;
    return GY_OK;
}

static gy_status apply_globals(struct gy_cli *cli, const struct global_opts *g, struct gy_err *err)
{
    cli->json = g->json;
    cli->quiet = g->quiet;
    cli->home = g->home;
    if (g->server) {
        cli->server = g->server;
    }
    if (cli->server && !cli->server[0]) { /* as the dispatcher sets it for jobs: no server */
        cli->server = NULL;
    }
    GY_TRY(url_of(cli, g->store, "GYRE_STORE_URL", &cli->store, err));
    GY_TRY(url_of(cli, g->objects, "GYRE_OBJECTS_URL", &cli->objects, err));
    GY_TRY(url_of(cli, g->s3_endpoint, "GYRE_S3_ENDPOINT", &cli->s3_endpoint, err));
    cli->workspace = g->workspace ? g->workspace : getenv("GYRE_WORKSPACE");
    const char *no_color = getenv("NO_COLOR");
    cli->color = isatty(STDOUT_FILENO) && !(no_color && no_color[0]);
    if (g->color) {
        if (strcmp(g->color, "always") == 0) {
            cli->color = true;
        } else if (strcmp(g->color, "never") == 0) {
            cli->color = false;
        } else if (strcmp(g->color, "auto") != 0) {
            return gy_err_set(err, GY_E_USAGE, "--color takes auto, always or never");
        }
    }
    cli->progress = isatty(STDERR_FILENO) && !cli->quiet && !cli->json;
    if (g->log) {
        GY_TRY(gy_log_setup(gy_str_c(g->log), err));
    }
    return GY_OK;
}

static gy_status check_count(const struct gy_cli *cli, const struct gy_verb *verb,
                             struct gy_err *err)
{
    if (cli->argc >= verb->min_args && (verb->max_args < 0 || cli->argc <= verb->max_args)) {
        return GY_OK;
    }
    const char *space = verb->verb ? " " : "";
    const char *name = verb->verb ? verb->verb : "";
    return cli->argc < verb->min_args
               ? gy_err_set(err, GY_E_USAGE, "gyre %s%s%s needs %s", verb->noun, space, name,
                            verb->args)
               : gy_err_set(err, GY_E_USAGE, "gyre %s%s%s: '%s' is one argument too many",
                            verb->noun, space, name, cli->argv[verb->max_args]);
}

gy_status gy_cli_parse_options(struct gy_cli *cli, const struct gy_verb *verb, int argc,
                               char **argv, void **ret_opts, bool *ret_help, struct gy_err *err)
{
    if (argc > MAX_WORDS) {
        return gy_err_set(err, GY_E_USAGE, "more than %d words on the command line", MAX_WORDS);
    }
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        cli->json = cli->json || strcmp(argv[i], "--json") == 0; /* errors below are told so, too */
    }
    struct parser p = {.cli = cli, .verb = verb};
    p.opts = gy_arena_calloc(&cli->arena, 1, verb->opts_bytes ? verb->opts_bytes : 1);
    cli->argv = gy_arena_calloc(&cli->arena, (size_t)argc + 1, sizeof *cli->argv);
    if (!p.opts || !cli->argv) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for options");
    }
    for (size_t i = 0; i < verb->n_opts; i++) {
        if (verb->opts[i].standard) {
            GY_TRY(set_opt(cli, &verb->opts[i], p.opts, verb->opts[i].standard, err));
        }
    }
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (only_words || word[0] != '-' || word[1] == '\0') {
            cli->argv[cli->argc++] = word;
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else {
            GY_TRY(parse_one(&p, argc, argv, &i, err));
        }
    }
    GY_TRY(apply_globals(cli, &p.globals, err));
    *ret_opts = p.opts;
    *ret_help = p.globals.help;
    return p.globals.help ? GY_OK : check_count(cli, verb, err);
}

static void print_opt(FILE *out, const struct gy_opt *o)
{
    char left[64];
    char letter[5] = "    ";
    if (o->letter) {
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
                   o->arg ? o->arg : "");
    (void)fprintf(out, "  %-30s %s%s%s%s\n", left, o->help, o->standard ? " [" : "",
                  o->standard ? o->standard : "", o->standard ? "]" : "");
}

void gy_cli_print_help(FILE *out, const struct gy_verb *verb)
{
    (void)fprintf(out, "usage: gyre %s%s%s%s%s [options]\n\n%s\n", verb->noun,
                  verb->verb ? " " : "", verb->verb ? verb->verb : "",
                  verb->args && verb->args[0] ? " " : "", verb->args ? verb->args : "",
                  verb->summary);
    if (verb->details) {
        (void)fprintf(out, "\n%s\n", verb->details);
    }
    if (verb->more) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf more;
        gy_buf_init(&more, GY_MIB);
        verb->more(&more);
        (void)fprintf(out, "\n%s", more.n ? more.p : "");
    }
    (void)fprintf(out, "\noptions:\n");
    for (size_t i = 0; i < verb->n_opts; i++) {
        print_opt(out, &verb->opts[i]);
    }
    for (size_t i = 0; i < sizeof global_opts / sizeof global_opts[0]; i++) {
        print_opt(out, &global_opts[i]);
    }
    if (verb->examples) {
        (void)fprintf(out, "\nexamples:\n");
        struct gy_str rest = gy_str_c(verb->examples);
        struct gy_str line;
        while (gy_str_next(&rest, '\n', &line)) {
            line = gy_str_trim(line);
            if (line.n) {
                (void)fprintf(out, "  %" GY_STR_F "\n", GY_STR_A(line));
            }
        }
    }
}
