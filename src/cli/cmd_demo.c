/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_sepsis.h"

static gy_status play(struct gy_sepsis *s, struct gy_err *err)
{
    GY_TRY(gy_sepsis_line(s, err));
    GY_TRY(gy_sepsis_loop(s, err));
    GY_TRY(gy_sepsis_report(s, err));
    gy_sepsis_say(s);
    return s->d.cli->json ? gy_sepsis_json(s, err) : GY_OK;
}

static gy_status run_demo(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct gy_demo_opts *o = opts;
    if (strcmp(cli->argv[0], "sepsis") != 0) {
        gy_err_set(err, GY_E_USAGE, "no demo named '%s'", cli->argv[0]);
        return gy_err_hint(err, "there is: sepsis");
    }
    struct gy_sepsis s = {.opts = o};
    gy_status status = gy_demo_open(cli, o->dir ? o->dir : "gyre-demo-sepsis", &s.d, err);
    if (status == GY_OK) {
        gy_cli_say(cli, "%s\n%s\n\n",
                   "Sepsis alerts, from a CSV file once around the loop, in the folder", s.d.dir);
        status = play(&s, err);
    }
    if (status == GY_OK && !o->exit) {
        gy_cli_say(cli, "\nThe server stays up: %s   (Ctrl-C ends it)\n", s.d.address);
        (void)fflush(stdout);
        gy_demo_wait(&s.d);
    }
    gy_demo_close(&s.d);
    gy_json_free(s.trace);
    gy_caller_free(s.person);
    return status;
}

static const struct gy_opt demo_opts[] = {
    {"data", 0, GY_OPT_STR, offsetof(struct gy_demo_opts, data), "FILE", NULL,
     "real vitals (CSV) instead of synthetic ones"},
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
     .summary = "play the whole loop on real commands, step by step (sepsis)",
     .details = "Each step prints the command that repeats it, one number and its time. A missed "
                "expectation ends the demo with\n"
                "an error.",
     .examples = "  gyre demo sepsis\n  gyre demo sepsis --exit --json\n  gyre demo sepsis --data "
                 "vitals.csv",
     .opts = demo_opts,
     .n_opts = sizeof demo_opts / sizeof demo_opts[0],
     .opts_bytes = sizeof(struct gy_demo_opts),
     .run = run_demo},
};

const struct gy_verb_table gy_cmd_demo = GY_VERB_TABLE(verbs);
