/* SPDX-License-Identifier: Apache-2.0 */
/* What a command file needs: its table of verbs, the parsed options, the transport, and ways to
 * print. A verb is one table entry beside its function; help, parsing and dispatch come from the
 * same entry. Main thread only. */
#ifndef GY_CLI_CLI_INTERNAL_H
#define GY_CLI_CLI_INTERNAL_H

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "net/call.h"
#include "store/home.h"

struct gy_app;

/* State of one run of the program. */
struct gy_cli {
    const char *home;   /* --home, NULL: found */
    const char *server; /* --server / GYRE_SERVER, NULL: socket or in-process */
    const char *store, *objects, *s3_endpoint; /* URLs; NULL: in the home */
    const char *workspace;                     /* NULL: "default" */
    bool json, quiet;
    bool color;               /* stdout is a terminal and NO_COLOR is not set (or --color=always) */
    bool progress;            /* stderr is a terminal and neither --quiet nor --json */
    int argc;                 /* positional arguments of the verb */
    char **argv;              /* argv[0] is the first of them; argv[argc] is NULL */
    const char *program;      /* absolute path of this binary, to start it again */
    struct gy_arena arena;    /* memory of the whole run */
    struct gy_app *app;       /* set once the in-process transport is open */
    struct gy_caller *caller; /* set by gy_cli_caller */
    /* Of calls to --server, before gy_cli_caller; 0: none (net/http_client.h). */
    long stall_s;
    int64_t call_max_ms;
    int exit_code; /* a verb that succeeded may ask for another code than 0 */
};

enum gy_opt_kind {
    GY_OPT_FLAG, /* bool */
    GY_OPT_STR,  /* const char * */
    GY_OPT_INT,  /* int64_t */
    GY_OPT_NUM,  /* double */
    GY_OPT_LIST, /* struct gy_opt_list: the option may be repeated */
};
struct gy_opt_list {
    const char **items;
    size_t n;
};
struct gy_opt {
    const char *name; /* "output-path"; '_' and '-' are the same, "--no-" is not implied */
    char letter;      /* 'o' or 0 */
    enum gy_opt_kind kind;
    size_t offset;        /* into the verb's options struct */
    const char *arg;      /* "FILE", NULL for a flag */
    const char *standard; /* default as text, NULL: zero */
    const char *help;
};

struct gy_verb {
    const char *noun;       /* "data" */
    const char *verb;       /* "ingest"; NULL: the noun alone is the command ("run") */
    const char *args;       /* "FILE [NAME]" */
    int min_args, max_args; /* max_args -1: any number */
    const char *summary;    /* one line */
    const char *details;    /* MAY be NULL */
    const char *examples;   /* lines, each a command that works */
    const struct gy_opt *opts;
    size_t n_opts;
    size_t opts_bytes; /* sizeof the options struct; zeroed, then defaults, then what was given */
    /* `opts` points to the filled struct. A failure is printed once by the caller, with its hint.
     */
    gy_status (*run)(struct gy_cli *cli, void *opts, struct gy_err *err);
    void (*more)(struct gy_buf *out); /* of the help: what stands in tables; MAY be NULL */
};
struct gy_verb_table {
    const struct gy_verb *verbs;
    size_t n;
};
#define GY_VERB_TABLE(verbs)                        \
    {                                               \
        (verbs), sizeof(verbs) / sizeof((verbs)[0]) \
    }
#define GY_OPTS(opts) (opts), sizeof(opts) / sizeof((opts)[0])

/* One a command file. cli.c lists them. */
extern const struct gy_verb_table gy_cmd_gc;           /* cmd_gc.c */
extern const struct gy_verb_table gy_cmd_serve;        /* cmd_serve.c: serve */
extern const struct gy_verb_table gy_cmd_log;          /* cmd_log.c: log list */
extern const struct gy_verb_table gy_cmd_log_prune;    /* cmd_log_prune.c: log prune, pruned */
extern const struct gy_verb_table gy_cmd_log_export;   /* cmd_log_export.c: log export, ship */
extern const struct gy_verb_table gy_cmd_backup;       /* cmd_backup.c: backup, restore */
extern const struct gy_verb_table gy_cmd_subject;      /* cmd_subject.c */
extern const struct gy_verb_table gy_cmd_data;         /* cmd_data.c: list, show, checkout */
extern const struct gy_verb_table gy_cmd_data_ingest;  /* cmd_data_ingest.c */
extern const struct gy_verb_table gy_cmd_data_schema;  /* cmd_data_schema.c */
extern const struct gy_verb_table gy_cmd_data_synth;   /* cmd_data_synth.c */
extern const struct gy_verb_table gy_cmd_data_profile; /* cmd_data_profile.c */
extern const struct gy_verb_table gy_cmd_data_split;   /* cmd_data_split.c */
extern const struct gy_verb_table gy_cmd_data_remote;  /* cmd_data_remote.c */
extern const struct gy_verb_table gy_cmd_backtest;     /* cmd_backtest.c */
extern const struct gy_verb_table gy_cmd_replay;       /* cmd_replay.c */
extern const struct gy_verb_table gy_cmd_dlq;          /* cmd_dlq.c */
extern const struct gy_verb_table gy_cmd_train;        /* cmd_train.c */
extern const struct gy_verb_table gy_cmd_evaluate;     /* cmd_evaluate.c */
extern const struct gy_verb_table gy_cmd_predict;      /* cmd_predict.c */
extern const struct gy_verb_table gy_cmd_run;          /* cmd_run.c: run, flow dag|status */
extern const struct gy_verb_table gy_cmd_gate;         /* cmd_gate.c */
extern const struct gy_verb_table gy_cmd_exec;         /* cmd_exec.c: __exec */
extern const struct gy_verb_table gy_cmd_python;       /* cmd_python.c: models env, __worker */
extern const struct gy_verb_table gy_cmd_trigger;      /* cmd_trigger.c: trigger, jobs, flow logs */
extern const struct gy_verb_table gy_cmd_exp;          /* cmd_exp.c */
extern const struct gy_verb_table gy_cmd_runs;         /* cmd_runs.c */
extern const struct gy_verb_table gy_cmd_models;       /* cmd_models.c */
extern const struct gy_verb_table gy_cmd_runs_ops;     /* cmd_runs_ops.c: runs comment, patch */
extern const struct gy_verb_table gy_cmd_usecase;      /* cmd_usecase.c */
extern const struct gy_verb_table gy_cmd_query;        /* cmd_query.c: __query */
extern const struct gy_verb_table gy_cmd_data_query;   /* cmd_data_query.c */
extern const struct gy_verb_table gy_cmd_usecase_report; /* cmd_usecase_report.c */
extern const struct gy_verb_table gy_cmd_models_card;    /* cmd_models_card.c: diff, card */
extern const struct gy_verb_table gy_cmd_models_files;   /* cmd_models_files.c: import, export */
extern const struct gy_verb_table gy_cmd_models_chain;   /* cmd_models_chain.c */
extern const struct gy_verb_table gy_cmd_models_move;    /* cmd_models_move.c */
extern const struct gy_verb_table gy_cmd_endpoint;       /* cmd_endpoint.c */
extern const struct gy_verb_table gy_cmd_trace;          /* cmd_trace.c */
extern const struct gy_verb_table gy_cmd_stream;         /* cmd_stream.c */
extern const struct gy_verb_table gy_cmd_server;         /* cmd_server.c */
extern const struct gy_verb_table gy_cmd_try;            /* cmd_try.c */
extern const struct gy_verb_table gy_cmd_version;        /* cmd_version.c */
extern const struct gy_verb_table gy_cmd_init;           /* cmd_init.c: init */
extern const struct gy_verb_table gy_cmd_demo;           /* cmd_demo.c */
extern const struct gy_verb_table gy_cmd_tutorial;       /* cmd_tutorial.c */
extern const struct gy_verb_table gy_cmd_user;           /* cmd_user.c: user, workspace */
extern const struct gy_verb_table gy_cmd_token;          /* cmd_token.c */
extern const struct gy_verb_table gy_cmd_audit;          /* cmd_audit.c */

/* cmd_data_track.c: add, commit, status, unprotect, remove */
extern const struct gy_verb_table gy_cmd_data_track;

/* cmd_data_registry.c: tag, untag, describe, lineage, delete */
extern const struct gy_verb_table gy_cmd_data_registry;
extern const struct gy_verb_table gy_cmd_dlq_replay; /* cmd_dlq_replay.c */
extern const struct gy_verb_table gy_cmd_data_diff;  /* cmd_data_diff.c */

extern const struct gy_verb_table gy_cmd_feedback; /* cmd_feedback.c */
extern const struct gy_verb_table gy_cmd_watch;    /* cmd_watch.c: watch apply, status, ... */
extern const struct gy_verb_table gy_cmd_watch_performance; /* cmd_watch_performance.c */

extern const struct gy_verb_table gy_cmd_import; /* cmd_import.c: import mlflow */
extern const struct gy_verb_table gy_cmd_export; /* cmd_export.c: export mlflow */

extern const struct gy_verb_table gy_cmd_review;        /* cmd_review.c */
extern const struct gy_verb_table gy_cmd_review_export; /* cmd_review_export.c */

/* cmd_data_push.c: push, fetch, pull */
extern const struct gy_verb_table gy_cmd_data_push;
extern const struct gy_verb_table gy_cmd_data_gc;     /* cmd_data_gc.c */
extern const struct gy_verb_table gy_cmd_data_import; /* cmd_data_import.c: import, update */

extern const struct gy_verb_table gy_cmd_flow; /* cmd_flow.c: flow import */

/* cmd_watch_drift.c */
extern const struct gy_verb_table gy_cmd_watch_drift;

/* The transport: --server, else the socket of a running server, else in-process. Owned by cli.
 * Fails as those do. */
GY_CHECKED gy_status gy_cli_caller(struct gy_cli *cli, struct gy_caller **ret, struct gy_err *err);
/* The home this command works on (made when absent). */
GY_CHECKED gy_status gy_cli_home(struct gy_cli *cli, struct gy_home *ret, struct gy_err *err);

/* Texts come from servers, files and other people, who must not be able to steer a terminal:
 * control characters become '?' (blanks and line ends a blank, unless lines are wanted), but for
 * the sequences that set colours where those are wanted. */
void gy_cli_put(FILE *out, struct gy_str s, bool lines, bool colors);

/* For people, on stdout, by gy_cli_put; nothing under --json. */
void gy_cli_say(const struct gy_cli *cli, const char *fmt, ...) GY_PRINTF(2, 3);
/* On stderr unless --quiet. */
void gy_cli_note(const struct gy_cli *cli, const char *fmt, ...) GY_PRINTF(2, 3);
/* The --json answer: one document and a newline on stdout. Call it only when cli->json. */
GY_CHECKED gy_status gy_cli_print_json(const struct gy_cli *cli, const struct gy_buf *json,
                                       struct gy_err *err);
/* A table for people: rows of n_columns cells (absent: "-"), numbers right-aligned when right[c].
 */
void gy_cli_table(const struct gy_cli *cli, const char *const *head, size_t n_columns,
                  const struct gy_str *cells, size_t n_rows, const bool *right);

/* "1.5 GiB"; returns out. */
const char *gy_cli_bytes(int64_t bytes, char out[32]);

/* A progress bar on stderr, drawn at most 10 times a second; silent when !cli->progress. */
struct gy_progress {
    const struct gy_cli *cli;
    const char *what;
    int64_t total, done, drawn_ns, start_ns;
};
void gy_progress_start(struct gy_progress *p, const struct gy_cli *cli, const char *what,
                       int64_t total);
void gy_progress_at(struct gy_progress *p, int64_t done);
void gy_progress_end(struct gy_progress *p); /* clears the line */

#endif
