/* SPDX-License-Identifier: Apache-2.0 */
/* The loop as a picture (SVG), each stop with the numbers of this run. It stands in the report and
 * beside it as loop.svg; README shows the one of a run. A card of its own: it reads the same on a
 * light and on a dark page. */
#include <math.h>

#include "cli/demo_sepsis.h"
#include "watch/html.h"

enum {
    BOX_W = 222,
    BOX_H = 118,
    GAP = 34,
    LEFT = 24,
    TOP = 64,
    BOTTOM = TOP + BOX_H + 66,
    WIDTH = 2 * LEFT + 4 * BOX_W + 3 * GAP,
    HEIGHT = BOTTOM + BOX_H + 40,
};

struct stop {
    const char *title, *command, *color;
    struct gy_buf lines[3];
};

static void text(struct gy_buf *out, int x, int y, const char *class, struct gy_str s)
{
    gy_buf_addf(out, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
    gy_html_text(out, s); /* names of models and features come from people */
    gy_buf_addc(out, "</text>\n");
}

static void draw_stop(struct gy_buf *out, const struct stop *s, int x, int y)
{
    gy_buf_addf(out,
                "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"10\" class=\"box\"/>\n"
                "<rect x=\"%d\" y=\"%d\" width=\"6\" height=\"%d\" rx=\"3\" fill=\"%s\"/>\n",
                x, y, BOX_W, BOX_H, x, y, BOX_H, s->color);
    text(out, x + 18, y + 25, "title", gy_str_c(s->title));
    for (int i = 0; i < 3; i++) {
        text(out, x + 18, y + 46 + 18 * i, i == 0 ? "big" : "line", gy_buf_str(&s->lines[i]));
    }
    text(out, x + 18, y + BOX_H - 11, "cmd", gy_str_c(s->command));
}

static void arrow(struct gy_buf *out, int x1, int y1, int x2, int y2)
{
    gy_buf_addf(out,
                "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" class=\"arrow\" "
                "marker-end=\"url(#head)\"/>\n",
                x1, y1, x2, y2);
}

static void draw_head(struct gy_buf *out)
{
    gy_buf_addf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
        "aria-label=\"The loop, with the numbers of one run\">\n"
        "<style>\n"
        "text{font-family:ui-sans-serif,system-ui,'Segoe UI',Roboto,sans-serif;fill:#1d2733}\n"
        ".head{font-size:17px;font-weight:600}.sub{font-size:13px;fill:#5b6b7c}\n"
        ".title{font-size:14px;font-weight:600}.big{font-size:14px;fill:#0b5fa5}\n"
        ".line{font-size:13px;fill:#344352}\n"
        ".cmd{font-size:11px;fill:#7a8997;font-family:ui-monospace,Menlo,Consolas,monospace}\n"
        ".box{fill:#fff;stroke:#d5dde5}.arrow{stroke:#8fa1b3;stroke-width:2;fill:none}\n"
        "</style>\n"
        "<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
        "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#8fa1b3\"/>"
        "</marker></defs>\n"
        "<rect width=\"%d\" height=\"%d\" rx=\"14\" fill=\"#f5f8fb\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    text(out, LEFT, 32, "head", GY_STR("The loop, closed by one program"));
    text(out, LEFT + 352, 32, "sub", GY_STR("numbers of one run of: gyre demo sepsis"));
}

/* ---- what stands in the boxes ---- */

static void add(struct stop *s, int line, const char *fmt, ...) GY_PRINTF(3, 4);
static void add(struct stop *s, int line, const char *fmt, ...)
{
    char words[128];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    gy_buf_addc(&s->lines[line], words);
}

static void fill_upper(const struct gy_sepsis *s, struct stop *stops)
{
    add(&stops[0], 0, "%lld = %lld + %lld", (long long)s->read, (long long)s->accepted,
        (long long)s->dead);
    add(&stops[0], 1, "read = accepted + dead");
    add(&stops[0], 2, "version sha256 %.10s", s->data_sha256);
    add(&stops[1], 0, "baseline v%lld, challenger v%lld", (long long)s->baseline_version,
        (long long)s->challenger_version);
    add(&stops[1], 1, "held-out rows, intervals,");
    add(&stops[1], 2, "every run tracked");
    add(&stops[2], 0, "v%lld refused, v%lld blessed", (long long)s->refused_version,
        (long long)s->challenger_version);
    add(&stops[2], 1, "poisoned v%lld refused", (long long)s->poisoned.version);
    add(&stops[2], 2, "a person approves");
    add(&stops[3], 0, "%lld requests, %lld not 2xx", (long long)s->requests, (long long)s->non_2xx);
    add(&stops[3], 1, "canary, promote, rollback:");
    add(&stops[3], 2, "%s", s->rollback_identical ? "same bytes as before" : "bytes differ");
}

static void fill_lower(const struct gy_sepsis *s, struct stop *stops)
{
    add(&stops[4], 0, "%lld answered by the rule", (long long)s->rule_hits);
    add(&stops[4], 1, "the rest by the model,");
    add(&stops[4], 2, "all of it logged");
    add(&stops[5], 0, "%lld verdicts", (long long)s->verdicts);
    add(&stops[5], 1, "recall: rules %.2f, model %.2f", s->rules.value, s->model.value);
    add(&stops[5], 2, "combined %.2f", s->combined.value);
    add(&stops[6], 0, "%s %+.1f: %s, refused", s->offset.feature, s->offset.offset,
        s->offset.cause);
    add(&stops[6], 1, "rule precision %.2f to %.2f", s->offset.rule_precision_before,
        s->offset.rule_precision);
    add(&stops[6], 2, "new patients: %s", s->shift.cause);
    add(&stops[7], 0, "recall %.2f to %.2f", s->shift.before.value, s->shift.after.value);
    add(&stops[7], 1, "on patients it never saw");
    add(&stops[7], 2, "v%lld promoted by its numbers", (long long)s->shift.version);
}

gy_status gy_sepsis_picture(const struct gy_sepsis *s, struct gy_buf *out, struct gy_err *err)
{
    struct stop stops[8] = {
        {"1  Data", "gyre data ingest", "#0b79d0", {{0}}},
        {"2  Train", "gyre run", "#0b79d0", {{0}}},
        {"3  Gate and approval", "gyre gate check | approve", "#7a4fd0", {{0}}},
        {"4  Deploy", "gyre endpoint deploy --canary", "#7a4fd0", {{0}}},
        {"5  Predict", "POST /predictions", "#0f9d6b", {{0}}},
        {"6  Review", "gyre review verdict", "#0f9d6b", {{0}}},
        {"7  Watch", "gyre watch status", "#d9822b", {{0}}},
        {"8  Retrain", "gyre trigger list", "#d9822b", {{0}}},
    };
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 3; k++) {
            gy_buf_init(&stops[i].lines[k], 256);
        }
    }
    fill_upper(s, stops);
    fill_lower(s, stops);
    draw_head(out);
    for (int i = 0; i < 4; i++) {
        int x = LEFT + i * (BOX_W + GAP);
        draw_stop(out, &stops[i], x, TOP);
        draw_stop(out, &stops[7 - i], x, BOTTOM);
        if (i < 3) {
            arrow(out, x + BOX_W + 4, TOP + BOX_H / 2, x + BOX_W + GAP - 4, TOP + BOX_H / 2);
            arrow(out, x + BOX_W + GAP - 4, BOTTOM + BOX_H / 2, x + BOX_W + 4, BOTTOM + BOX_H / 2);
        }
    }
    int right = LEFT + 3 * (BOX_W + GAP) + BOX_W / 2;
    arrow(out, right, TOP + BOX_H + 5, right, BOTTOM - 5);
    /* Reviewed patients are data again: back to the gate by way of training. */
    arrow(out, LEFT + BOX_W / 2, BOTTOM - 5, LEFT + BOX_W / 2, TOP + BOX_H + 5);
    text(out, LEFT + BOX_W / 2 + 14, TOP + BOX_H + 37, "sub",
         GY_STR("reviewed patients are data again"));
    gy_buf_addc(out, "</svg>\n");
    gy_status status = GY_OK;
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 3; k++) {
            if (status == GY_OK) {
                status = gy_buf_check(&stops[i].lines[k], "the picture of the loop", err);
            }
            gy_buf_done(&stops[i].lines[k]);
        }
    }
    return status == GY_OK ? gy_buf_check(out, "the picture of the loop", err) : status;
}
