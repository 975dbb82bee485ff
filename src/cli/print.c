/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "base/time.h"
#include "cli/cli_internal.h"

enum { MAX_TABLE_COLUMNS = 32, BAR_WIDTH = 30 };

void gy_cli_say(const struct gy_cli *cli, const char *fmt, ...)
{
    if (cli->json || cli->quiet) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vprintf(fmt, args); /* a lost stdout shows at the final flush */
    va_end(args);
}

void gy_cli_note(const struct gy_cli *cli, const char *fmt, ...)
{
    if (cli->quiet) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
}

gy_status gy_cli_print_json(const struct gy_cli *cli, const struct gy_buf *json, struct gy_err *err)
{
    (void)cli;
    GY_TRY(gy_buf_check(json, "the answer", err));
    if (fwrite(json->p, 1, json->n, stdout) != json->n || fputc('\n', stdout) == EOF ||
        fflush(stdout) != 0) {
        return gy_err_set(err, GY_E_IO, "the answer could not be written to stdout");
    }
    return GY_OK;
}

/* Columns that a text takes: UTF-8 continuation bytes take none. Good enough for names and numbers.
 */
static size_t width(struct gy_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}

static void print_cell(struct gy_str s, size_t to_width, bool right, bool last)
{
    size_t pad = width(s) < to_width ? to_width - width(s) : 0;
    if (right) {
        (void)printf("%*s", (int)pad, "");
    }
    (void)fwrite(s.p, 1, s.n, stdout);
    if (!right && !last) {
        (void)printf("%*s", (int)pad, "");
    }
    (void)fputs(last ? "\n" : "  ", stdout);
}

void gy_cli_table(const struct gy_cli *cli, const char *const *head, size_t n_columns,
                  const struct gy_str *cells, size_t n_rows, const bool *right)
{
    GY_REQUIRE(n_columns > 0 && n_columns <= MAX_TABLE_COLUMNS);
    if (cli->json || cli->quiet) {
        return;
    }
    size_t widths[MAX_TABLE_COLUMNS];
    for (size_t c = 0; c < n_columns; c++) {
        widths[c] = width(gy_str_c(head[c]));
        for (size_t r = 0; r < n_rows; r++) {
            size_t w = width(cells[r * n_columns + c]);
            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    for (size_t c = 0; c < n_columns; c++) {
        print_cell(gy_str_c(head[c]), widths[c], right && right[c], c + 1 == n_columns);
    }
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t c = 0; c < n_columns; c++) {
            struct gy_str s = cells[r * n_columns + c];
            print_cell(s.p ? s : GY_STR("-"), widths[c], right && right[c], c + 1 == n_columns);
        }
    }
}

void gy_progress_start(struct gy_progress *p, const struct gy_cli *cli, const char *what,
                       int64_t total)
{
    *p = (struct gy_progress){.cli = cli, .what = what, .total = total, .start_ns = gy_mono_ns()};
}

void gy_progress_at(struct gy_progress *p, int64_t done)
{
    p->done = done;
    int64_t now = gy_mono_ns();
    if (!p->cli->progress || now - p->drawn_ns < 100000000) {
        return;
    }
    p->drawn_ns = now;
    double share = p->total > 0 ? (double)done / (double)p->total : 0.0;
    share = share > 1.0 ? 1.0 : share;
    int full = (int)(share * BAR_WIDTH);
    double seconds = (double)(now - p->start_ns) / 1e9;
    (void)fprintf(stderr, "\r%s [%.*s%*s] %3.0f%% %.1fs", p->what, full,
                  "##############################", BAR_WIDTH - full, "", share * 100.0, seconds);
}

void gy_progress_end(struct gy_progress *p)
{
    if (p->cli->progress && p->drawn_ns) {
        (void)fprintf(stderr, "\r\033[K");
    }
}
