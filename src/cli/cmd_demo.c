/* SPDX-License-Identifier: Apache-2.0 */
/* gyre demo NAME */
#include "cli/demo.h"

static const struct gy_demo_ops *const demos[] = {
    &gy_demo_sepsis, &gy_demo_fuel,      &gy_demo_bikes, &gy_demo_iris,
    &gy_demo_fraud,  &gy_demo_insurance, &gy_demo_rings};
#define DEMO_NAMES "sepsis, fuel, bikes, iris, fraud, insurance, rings"

static gy_status find_demo(const char *name, const struct gy_demo_ops **ret, struct gy_err *err)
{
    for (size_t i = 0; i < sizeof demos / sizeof demos[0]; i++) {
        if (strcmp(demos[i]->name, name) == 0) {
            *ret = demos[i];
            return GY_OK;
        }
    }
    gy_err_set(err, GY_E_USAGE, "no demo named '%s'", name);
    return gy_err_hint(err, "there are: " DEMO_NAMES);
}

static gy_status play(const struct gy_demo_ops *ops, struct gy_demo *d, struct gy_err *err)
{
    gy_cli_say(d->cli, "%s, in the folder\n%s\n\n", ops->title, d->dir);
    GY_TRY(ops->play(d, err));
    if (d->cli->json) {
        GY_TRY(gy_demo_print(d, err));
    }
    if (!d->opts->exit) {
        gy_cli_say(d->cli, "\nThe server stays up: %s   (Ctrl-C ends it)\n", d->address);
        (void)fflush(stdout);
        gy_demo_wait(d);
    }
    return GY_OK;
}

static gy_status run_demo(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct gy_demo_opts *o = opts;
    const struct gy_demo_ops *ops = NULL;
    char dir[64];
    struct gy_demo d;
    GY_TRY(find_demo(cli->argv[0], &ops, err));
    (void)snprintf(dir, sizeof dir, "gyre-demo-%s", ops->name);
    gy_status status = gy_demo_open(cli, o->dir ? o->dir : dir, &d, err);
    d.opts = o;
    status = status == GY_OK ? play(ops, &d, err) : status;
    gy_demo_close(&d);
    return status;
}

static const struct gy_opt demo_opts[] = {
    {"data", 0, GY_OPT_STR, offsetof(struct gy_demo_opts, data), "FILE", NULL,
     "data of yours of the same columns: sepsis, fuel, iris a CSV file; bikes a folder of months, "
     "rings one of records and pictures"},
    {"dir", 0, GY_OPT_STR, offsetof(struct gy_demo_opts, dir), "DIR", NULL,
     "where it plays [./gyre-demo-NAME]"},
    {"exit", 0, GY_OPT_FLAG, offsetof(struct gy_demo_opts, exit), NULL, NULL,
     "end when done; else the server stays up"},
};

static const struct gy_verb verbs[] = {
    {.noun = "demo",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "play a whole project on real commands, step by step (" DEMO_NAMES ")",
     .details =
         "  sepsis     alerts from vital signs: once around the loop, retraining included\n"
         "  fuel       consumption of cars by least squares: cleaning, an honest R2, units at the "
         "edge\n"
         "  bikes      hourly demand: 16 forests tracked, the best served, a month of drift "
         "watched\n"
         "  iris       three species: the shortest whole project\n"
         "  fraud      one payment in 580 is a fraud: average precision, not accuracy\n"
         "  insurance  a tariff: a formula as champion, a model that knows past accidents against "
         "it\n"
         "  rings      pictures of molecules: a convolutional network beside saying the same each "
         "time\n"
         "Each step prints the command that repeats it, one number and its time. A missed "
         "expectation ends the demo with\nan error.",
     .examples = "  gyre demo sepsis\n  gyre demo fuel --exit --json\n  gyre demo sepsis --data "
                 "vitals.csv",
     .opts = demo_opts,
     .n_opts = sizeof demo_opts / sizeof demo_opts[0],
     .opts_bytes = sizeof(struct gy_demo_opts),
     .run = run_demo},
};

const struct gy_verb_table gy_cmd_demo = GY_VERB_TABLE(verbs);
