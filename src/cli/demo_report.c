/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: one file that needs nothing else: the loop as a picture, what held, the report of
 * the endpoint (as `gyre watch report` makes it), and every command that was run. */
#include "base/file.h"
#include "base/limits.h"
#include "cli/demo_sepsis.h"
#include "watch/html.h"

enum { MAX_REPORT = 64 << 20 };

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<title>Gyre: once around the loop</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1d2733;--soft:#5b6b7c;--line:#d9e1e8;--page:#fff;"
    "--good:#0f9d6b;--bad:#c9382b}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9aabba;--line:#2c3945;"
    "--page:#12181e}}\n"
    "body{font:15px/1.5 ui-sans-serif,system-ui,'Segoe UI',Roboto,sans-serif;color:var(--ink);"
    "background:var(--page);margin:0 auto;max-width:1080px;padding:28px 20px 60px}\n"
    "h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 10px}"
    "p{color:var(--soft);margin:0 0 18px;max-width:46em}\n"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;"
    "padding:7px 10px;border-bottom:1px solid var(--line)}th{font-weight:600}\n"
    "td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    "code{font:12.5px ui-monospace,Menlo,Consolas,monospace;word-break:break-word}\n"
    ".ok{color:var(--good)}.no{color:var(--bad)}svg{width:100%;height:auto}\n"
    "iframe{width:100%;height:1200px;border:1px solid var(--line);border-radius:10px}\n"
    "@media print{iframe{border:0}}\n</style></head><body>\n"
    "<h1>Once around the loop</h1>\n"
    "<p>A sepsis alert, from a damaged CSV file to a served model, and on: patients were answered, "
    "a reviewer judged, a sensor went wrong, another ward came, a model was retrained and "
    "replaced. The patients of the second ward are made up; all verdicts come from a simulated "
    "reviewer who reads the held label and errs in 3 % of the cases.</p>\n";

static void add_row(void *ctx, bool ok, const char *what, const char *text)
{
    struct gy_buf *out = ctx;
    gy_buf_addf(out, "<tr><td class=\"%s\">%s</td><th>", ok ? "ok" : "no",
                ok ? "\xe2\x9c\x94" : "\xe2\x9c\x98");
    gy_html_text(out, gy_str_c(what));
    gy_buf_addc(out, "</th><td>");
    gy_html_text(out, gy_str_c(text));
    gy_buf_addc(out, "</td></tr>\n");
}

static void add_steps(const struct gy_sepsis *s, struct gy_buf *out)
{
    gy_buf_addc(out, "<h2>Every step</h2>\n<table><tr><th></th><th>Step</th><th>Command</th>"
                     "<th>Result</th><th>Seconds</th></tr>\n");
    for (size_t i = 0; i < s->d->n_steps; i++) {
        const struct gy_demo_step *step = &s->d->steps[i];
        gy_buf_addf(out, "<tr><td>%zu</td><td>", i + 1);
        gy_html_text(out, gy_str_c(step->name));
        gy_buf_addc(out, "</td><td><code>");
        gy_html_text(out, gy_str_c(step->command));
        gy_buf_addc(out, "</code></td><td>");
        gy_html_text(out, gy_str_c(step->value));
        gy_buf_addf(out, "</td><td class=\"n\">%.2f</td></tr>\n", step->seconds);
    }
    gy_buf_addc(out, "</table>\n");
}

static gy_status write_in(const struct gy_sepsis *s, const char *name, const struct gy_buf *text,
                          char path[GY_MAX_PATH], struct gy_err *err)
{
    GY_TRY(gy_buf_check(text, "the report", err));
    GY_TRY(gy_path_join(path, GY_MAX_PATH, s->d->dir, name, err));
    return gy_file_write(path, gy_buf_str(text), 0644, err);
}

static gy_status read_watch_report(struct gy_sepsis *s, struct gy_buf *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_demo_gyre(s->d, "watch report sepsis -o reports/endpoint.html", 0, NULL, err));
    GY_TRY(gy_path_join(path, sizeof path, s->d->dir, "reports/endpoint.html", err));
    return gy_file_read(path, ret, err);
}

gy_status gy_sepsis_report(struct gy_sepsis *s, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf picture;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf endpoint;
    char path[GY_MAX_PATH];
    gy_buf_init(&out, MAX_REPORT);
    gy_buf_init(&picture, GY_MIB);
    gy_buf_init(&endpoint, MAX_REPORT / 2);
    gy_demo_begin(s->d, "one report", "gyre watch report sepsis -o reports/endpoint.html");
    GY_TRY(read_watch_report(s, &endpoint, err));
    GY_TRY(gy_sepsis_picture(s, &picture, err));
    gy_buf_addc(&out, head);
    gy_buf_add(&out, gy_buf_str(&picture));
    gy_buf_addc(&out, "<h2>What held</h2>\n<table>\n");
    gy_sepsis_rows(s, add_row, &out);
    gy_buf_addc(&out, "</table>\n<h2>The endpoint</h2>\n<iframe title=\"The endpoint's report\" "
                      "onload=\"this.style.height=this.contentDocument.documentElement."
                      "scrollHeight+'px'\" srcdoc=\"");
    gy_html_text(&out, gy_buf_str(&endpoint));
    gy_buf_addc(&out, "\"></iframe>\n");
    add_steps(s, &out);
    gy_buf_addc(&out, "</body></html>\n");
    GY_TRY(write_in(s, "loop.svg", &picture, path, err));
    GY_TRY(write_in(s, "report.html", &out, s->report, err));
    return gy_demo_done(s->d, true, err, "report.html, %zu KB, needs nothing else", out.n / 1024);
}
