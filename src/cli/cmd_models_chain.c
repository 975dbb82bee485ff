/* SPDX-License-Identifier: Apache-2.0 */
/* gyre models chain: several models as one package, in which answers of one are inputs of the next.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "cli/cli_internal.h"
#include "cli/made_package.h"
#include "learn/chain.h"
#include "learn/publish.h"

struct chain_opts {
    struct gy_opt_list feeds;
    const char *experiment, *out;
};

/* The parts that were named, and the registered ones among them as the lineage has them. */
struct parts {
    struct gy_chain_part items[GY_CHAIN_MAX_PARTS];
    struct gy_str registered[GY_CHAIN_MAX_PARTS]; /* "a/3" */
    size_t n, n_registered;
};

/* ---- parts ---- */

/* The last segment of a path. */
static struct gy_str base_name(const char *path)
{
    struct gy_str s = gy_str_c(path);
    while (s.n > 1 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    size_t from = s.n;
    while (from > 0 && s.p[from - 1] != '/') {
        from--;
    }
    return gy_str_sub(s, from, s.n);
}

/* "a@3" as "a/3": an alias is no number. */
static const char *as_ref(struct gy_cli *cli, const char *text)
{
    const char *at = strrchr(text, '@');
    int64_t version = 0;
    bool numbered = at && gy_parse_i64(gy_str_c(at + 1), 1, INT64_MAX, &version, NULL) == GY_OK;
    return numbered ? gy_arena_printf(&cli->arena, "%.*s/%lld", (int)(at - text), text,
                                      (long long)version)
                    : text;
}

static gy_status fetch_part(struct gy_cli *cli, const char *text, struct parts *parts,
                            struct gy_err *err)
{
    struct gy_chain_part *part = &parts->items[parts->n];
    struct gy_caller *caller = NULL;
    struct gy_home home = {.lock_fd = -1};
    char root[GY_MAX_PATH], dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_package_ref_done) struct gy_package_ref found = {.version = 0};
    const char *ref = as_ref(cli, text);
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_cli_home(cli, &home, err));
    gy_status status = gy_home_path(&home, "cache/models", root, err);
    gy_home_done(&home);
    GY_TRY(status);
    GY_TRY(gy_package_fetch(caller, gy_str_c(ref), root, dir, &found, err));
    part->dir = gy_arena_strdup(&cli->arena, gy_str_c(dir));
    part->name = gy_arena_str(&cli->arena, found.name);
    part->version = found.version;
    struct gy_str named = gy_str_c(gy_arena_printf(&cli->arena, "%" GY_STR_F "/%lld",
                                                   GY_STR_A(found.name), (long long)found.version));
    parts->registered[parts->n_registered++] = named;
    return part->dir && part->name.p && named.p ? GY_OK
                                                : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status find_parts(struct gy_cli *cli, struct parts *parts, struct gy_err *err)
{
    if (cli->argc - 1 > GY_CHAIN_MAX_PARTS) {
        return gy_err_set(err, GY_E_INVALID, "a chain has 2 to %d parts, not %d",
                          GY_CHAIN_MAX_PARTS, cli->argc - 1);
    }
    for (int i = 1; i < cli->argc; i++, parts->n++) {
        if (gy_path_is_dir(cli->argv[i])) {
            parts->items[parts->n] =
                (struct gy_chain_part){.dir = cli->argv[i], .name = base_name(cli->argv[i])};
        } else {
            GY_TRY(fetch_part(cli, cli->argv[i], parts, err));
        }
    }
    return GY_OK;
}

/* ---- the package ---- */

static gy_status answer(struct gy_cli *cli, const struct gy_chained *c, size_t n_parts,
                        const struct gy_published *p, const char *out, struct gy_err *err)
{
    gy_cli_say(cli, "%zu parts, %s, %zu inputs, %zu fed by parts\n", n_parts, c->task, c->n_inputs,
               c->n_fed);
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
    gy_jw_kv_i64(&w, "parts", (int64_t)n_parts);
    gy_jw_kv_strc(&w, "task", c->task);
    gy_jw_kv_i64(&w, "inputs", (int64_t)c->n_inputs);
    gy_jw_kv_i64(&w, "fed", (int64_t)c->n_fed);
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

static gy_status chain_into(struct gy_cli *cli, const void *opts, const char *dir,
                            struct gy_err *err)
{
    const struct chain_opts *o = opts;
    struct parts parts = {.n = 0};
    struct gy_chained chained;
    struct gy_published published = {.version = 0};
    struct gy_caller *caller = NULL;
    GY_TRY(find_parts(cli, &parts, err));
    GY_TRY(gy_chain_package(&(struct gy_chain_plan){.parts = parts.items,
                                                    .n_parts = parts.n,
                                                    .feeds = o->feeds.items,
                                                    .n_feeds = o->feeds.n},
                            dir, &chained, err));
    if (!o->out) {
        GY_TRY(gy_cli_caller(cli, &caller, err));
        GY_TRY(gy_publish_folder(caller, dir,
                                 &(struct gy_publish_options){.experiment = gy_str_c(o->experiment),
                                                              .run_name = GY_STR("chain"),
                                                              .register_as = gy_str_c(cli->argv[0]),
                                                              .source = "gyre models chain",
                                                              .parts = parts.registered,
                                                              .n_parts = parts.n_registered,
                                                              .start_us = gy_now_us()},
                                 &published, err));
    }
    return answer(cli, &chained, parts.n, &published, o->out, err);
}

static gy_status run_chain(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct chain_opts *o = opts;
    return gy_cli_make_package(cli, o->out, chain_into, o, err);
}

static const struct gy_opt options[] = {
    {"feed", 'f', GY_OPT_LIST, offsetof(struct chain_opts, feeds), "INPUT=PART.OUTPUT", NULL,
     "the input of later parts is this output of that part; else inputs are fed by their names"},
    {"experiment", 'e', GY_OPT_STR, offsetof(struct chain_opts, experiment), "NAME", NULL,
     "where the run goes that keeps the files"},
    {"output", 'o', GY_OPT_STR, offsetof(struct chain_opts, out), "DIR", NULL,
     "only make the package folder, register nothing"},
};
static const struct gy_verb verbs[] = {
    {"models", "chain", "NAME PART PART...", 3, -1,
     "several models as one: answers of one are inputs of the next",
     "PART is a registered model (a@3, a/3, b@champion) or a package folder. The chain holds its "
     "parts whole and is\nregistered as the next version of NAME. An input of a later part that is "
     "named like what an earlier part\npredicts is fed by its prediction. With --feed only what it "
     "names is fed; PART is then a name or a place (1, 2, ...),\nOUTPUT is prediction, probability "
     "(of the second of two classes) or probability.LABEL.",
     "gyre models chain triage fever@3 sepsis@champion\n"
     "gyre models chain triage fever@3 sepsis@champion --feed risk=fever.probability\n"
     "gyre models chain price size/2 rooms/1 price-of/7 --feed size=1.prediction --feed "
     "rooms=2.probability.many\n"
     "gyre models chain triage ./fever ./sepsis -o package\n",
     GY_OPTS(options), sizeof(struct chain_opts), run_chain},
};
const struct gy_verb_table gy_cmd_models_chain = GY_VERB_TABLE(verbs);
