/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/cli_internal.h"

enum { MAX_TABLE_COLUMNS = 32, BAR_WIDTH = 30 };

/* Bytes of a control character at p: C0, DEL, or C1 as UTF-8; 0: it is none. */
static size_t control_at(const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];
    if (c < 0x20 || c == 0x7f) {
        return 1;
    }
    return c == 0xc2 && n > 1 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0 ? 2 : 0;
}

/* Bytes of "ESC [ digits m" at p, which sets a colour; 0: it is something else. */
static size_t color_at(const char *p, size_t n)
{
    size_t i = 2;
    if (n < 3 || p[0] != '\033' || p[1] != '[') {
        return 0;
    }
    while (i < n && p[i] >= '0' && p[i] <= '9') {
        i++;
    }
    return i < n && p[i] == 'm' ? i + 1 : 0;
}

void gy_cli_put(FILE *out, struct gy_str s, bool lines, bool colors)
{
    size_t done = 0;
    for (size_t i = 0; i < s.n;) {
        size_t n = control_at(s.p + i, s.n - i);
        size_t color = n && colors ? color_at(s.p + i, s.n - i) : 0;
        if (n == 0 || color || (lines && (s.p[i] == '\n' || s.p[i] == '\t'))) {
            i += color ? color : 1;
            continue;
        }
        (void)fwrite(s.p + done, 1, i - done, out); /* a lost stdout shows at the final flush */
        (void)fputc(s.p[i] == '\n' || s.p[i] == '\t' ? ' ' : '?', out);
        i += n;
        done = i;
    }
    (void)fwrite(s.p ? s.p + done : "", 1, s.n - done, out);
}

GY_PRINTF(3, 0)
static void put_formatted(FILE *out, bool colors, const char *fmt, va_list args)
{
    char small[1024];
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, fmt, args);
    GY_AUTO(gy_free) char *large = n >= (int)sizeof small ? gy_malloc((size_t)n + 1) : NULL;
    if (large) { /* else there is no memory: what fits is said */
        (void)vsnprintf(large, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    gy_cli_put(out, gy_str_c(large ? large : small), true, colors);
}

void gy_cli_say(const struct gy_cli *cli, const char *fmt, ...)
{
    if (cli->json || cli->quiet) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    put_formatted(stdout, cli->color, fmt, args);
    va_end(args);
}

void gy_cli_note(const struct gy_cli *cli, const char *fmt, ...)
{
    if (cli->quiet) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    put_formatted(stderr, false, fmt, args);
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
    gy_cli_put(stdout, s, false, false);
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

const char *gy_cli_bytes(int64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit < 4; unit++) {
        v /= 1024;
    }
    (void)snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return out;
}
