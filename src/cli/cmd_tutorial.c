/* SPDX-License-Identifier: Apache-2.0 */
/* gyre tutorial: the pages, and the proof that they work. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/demo.h"
#include "cli/tutorial.h"

#define SERVER "gyre server &" /* the one command that is not run as it stands: a free port */
#define USUAL_ADDRESS "http://127.0.0.1:5000"

enum { MAX_OUTPUT = 4 << 20 };

struct tutorial_opts {
    const char *dir;
};

/* ---- list and show ---- */

static gy_status find_page(const char *text, struct gy_tutorial_page *ret, struct gy_err *err)
{
    size_t n = gy_tutorial_pages();
    int64_t number = -1;
    bool is_number = gy_parse_i64(gy_str_c(text), 0, 9, &number, NULL) == GY_OK;
    for (size_t i = 0; is_number && i < n; i++) {
        *ret = gy_tutorial_page(i);
        if (ret->number == number) {
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_USAGE, "no page '%s'", text);
    return gy_err_hint(err, "pages are 0 to %d; gyre tutorial lists them",
                       n ? gy_tutorial_page(n - 1).number : 0);
}

static void write_page(struct gy_jw *w, const struct gy_tutorial_page *page, bool text)
{
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "number", page->number);
    gy_jw_kv_str(w, "title", page->title);
    gy_jw_kv_str(w, "time", page->time);
    if (text) {
        gy_jw_kv_str(w, "text", page->text);
    }
    gy_jw_obj_end(w);
}

static gy_status list_pages(struct gy_cli *cli, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "pages");
    gy_jw_arr(&w);
    for (size_t i = 0; i < gy_tutorial_pages(); i++) {
        struct gy_tutorial_page page = gy_tutorial_page(i);
        write_page(&w, &page, false);
        gy_cli_say(cli, "  %d  %-40.*s %.*s\n", page.number, (int)page.title.n, page.title.p,
                   (int)page.time.n, page.time.p);
    }
    gy_cli_say(cli, "\ngyre tutorial N prints a page, gyre tutorial check N runs what is on it.\n");
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return cli->json ? gy_cli_print_json(cli, &out, err) : GY_OK;
}

static gy_status show_page(struct gy_cli *cli, const char *number, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_tutorial_page page;
    gy_buf_init(&out, GY_MIB);
    GY_TRY(find_page(number, &page, err));
    if (!cli->json) {
        return fwrite(page.text.p, 1, page.text.n, stdout) == page.text.n
                   ? GY_OK
                   : gy_err_set(err, GY_E_IO, "the page could not be written to stdout");
    }
    struct gy_jw w;
    gy_jw_init(&w, &out);
    write_page(&w, &page, true);
    return gy_cli_print_json(cli, &out, err);
}

/* ---- check ---- */

/* The command with the address where the server of this check listens. */
static gy_status with_address(const struct gy_demo *d, struct gy_str command, struct gy_buf *out,
                              struct gy_err *err)
{
    struct gy_str usual = GY_STR(USUAL_ADDRESS);
    for (size_t at; d->address[0] && (at = gy_str_find_str(command, usual)) != SIZE_MAX;) {
        gy_buf_add(out, gy_str_sub(command, 0, at));
        gy_buf_addc(out, d->address);
        command = gy_str_sub(command, at + usual.n, SIZE_MAX);
    }
    gy_buf_add(out, command);
    return gy_buf_check(out, "a command", err);
}

static gy_status run_shell(struct gy_demo *d, struct gy_str command, struct gy_buf *out,
                           int *ret_code, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    gy_buf_init(&line, 64 * GY_KIB);
    gy_buf_addc(&line, "exec 2>&1\n");
    GY_TRY(with_address(d, command, &line, err));
    const char *const argv[] = {"/bin/sh", "-c", line.p, NULL};
    struct gy_proc_options o = {
        .argv = argv, .cwd = d->dir, .env_add = d->env, .stdin_fd = -1, .stderr_fd = -1};
    return gy_proc_capture(&o, out, ret_code, err);
}

static gy_status check_command(struct gy_demo *d, const struct gy_tutorial_command *c,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    int code = 0;
    const char *section = gy_arena_strdup(
        &d->cli->arena, c->section.n ? c->section : GY_STR("What the pages before did"));
    gy_buf_init(&out, MAX_OUTPUT);
    if (!section) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    gy_demo_begin(d, section, "%.*s", (int)c->command.n, c->command.p);
    if (gy_str_eqc(c->command, SERVER)) {
        GY_TRY(gy_demo_serve(d, err));
        return gy_demo_done(d, true, err, "listening on %s", d->address);
    }
    GY_TRY(run_shell(d, c->command, &out, &code, err));
    if (code != 0) {
        return gy_demo_done(d, false, err, "exit code %d: %.180s", code, out.p);
    }
    struct gy_str broken = gy_tutorial_broken(c, gy_buf_str(&out));
    if (broken.p) {
        gy_cli_note(d->cli, "%.3000s\n", out.p);
        return gy_demo_done(d, false, err, "the page promises '%.*s', which did not come",
                            (int)(broken.n < 150 ? broken.n : 150), broken.p);
    }
    return gy_demo_done(d, true, err, "%zu of %zu promised lines", c->n_promises, c->n_promises);
}

static gy_status check_page(struct gy_demo *d, const struct gy_tutorial_page *page,
                            struct gy_err *err)
{
    struct gy_tutorial_command *list = NULL;
    size_t n = 0;
    GY_TRY(gy_tutorial_commands(page->text, &d->cli->arena, &list, &n, err));
    gy_cli_say(d->cli, "%d. %.*s, in the folder\n%s\n\n", page->number, (int)page->title.n,
               page->title.p, d->dir);
    for (size_t i = 0; i < n; i++) {
        GY_TRY(check_command(d, &list[i], err));
    }
    gy_jw_kv_i64(&d->table, "page", page->number);
    gy_jw_kv_i64(&d->table, "commands", (int64_t)n);
    if (n == 0) {
        gy_cli_say(d->cli, "nothing on this page is to be checked\n");
    }
    return d->cli->json ? gy_demo_print(d, err) : GY_OK;
}

/* Without --dir a folder of its own, which goes away when all is well. */
static gy_status check(struct gy_cli *cli, const struct tutorial_opts *o, const char *number,
                       struct gy_err *err)
{
    char made[GY_MAX_PATH];
    const char *dir = o->dir ? o->dir : made;
    struct gy_tutorial_page page;
    struct gy_demo d;
    GY_TRY(find_page(number, &page, err));
    GY_TRY(gy_path_join(made, sizeof made, gy_temp_dir(), "gyre-tutorial-XXXXXX", err));
    if (!o->dir && !mkdtemp(made)) {
        return gy_err_sys(err, errno, "making a folder like %s", made);
    }
    gy_status status = gy_demo_open(cli, dir, &d, err);
    status = status == GY_OK ? check_page(&d, &page, err) : status;
    gy_demo_close(&d);
    if (status == GY_OK && !o->dir) {
        return gy_dir_remove(dir, err);
    }
    if (status != GY_OK && !o->dir) {
        (void)gy_err_hint(err, "its folder stays: %s", dir);
    }
    return status;
}

static gy_status run_tutorial(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    if (cli->argc == 0) {
        return list_pages(cli, err);
    }
    bool checks = strcmp(cli->argv[0], "check") == 0;
    if (checks != (cli->argc == 2)) {
        return gy_err_set(err, GY_E_USAGE, "gyre tutorial [N], or gyre tutorial check N");
    }
    return checks ? check(cli, opts, cli->argv[1], err) : show_page(cli, cli->argv[0], err);
}

static const struct gy_opt tutorial_opts[] = {
    {"dir", 0, GY_OPT_STR, offsetof(struct tutorial_opts, dir), "DIR", NULL,
     "check: where it plays; else a temporary folder that goes away when all is well"},
};

static const struct gy_verb verbs[] = {
    {.noun = "tutorial",
     .args = "[N | check N]",
     .max_args = 2,
     .summary = "learn the loop in five steps; check that a page does what it says",
     .details = "check runs the commands of a page in a fresh folder, with a server on a free "
                "port, and looks for the\n"
                "lines that the page promises.",
     .examples = "  gyre tutorial\n  gyre tutorial 1\n  gyre tutorial check 1",
     GY_OPTS(tutorial_opts),
     .opts_bytes = sizeof(struct tutorial_opts),
     .run = run_tutorial},
};

const struct gy_verb_table gy_cmd_tutorial = GY_VERB_TABLE(verbs);
