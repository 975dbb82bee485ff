/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/html.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mend.h"

#define SHORT_CELL 20 /* bytes of a cell that is not broken into lines */

static const char style[] =
    ":root{--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--dim:#5d6b7c;--line:#e1e6ec;--ref:#9aa8b8;"
    "--cur:#1f6feb;--good:#1a7f4b;--warn:#a86200;--bad:#c42b2b;--good-bg:#e4f5ec;--warn-bg:#fdf1dc;"
    "--bad-bg:#fce8e8;--c0:#1f6feb;--c1:#8250df;--c2:#1a7f4b;--c3:#bf5700;color-scheme:light dark}"
    "@media(prefers-color-scheme:dark){:root{--bg:#10151c;--card:#18202a;--ink:#e6ebf1;--dim:#"
    "95a3b3;"
    "--line:#2a3542;--ref:#66768a;--cur:#58a6ff;--good:#4cc38a;--warn:#e3a64a;--bad:#ff7b72;"
    "--good-bg:#14301f;--warn-bg:#33260f;--bad-bg:#3a1a1a;--c0:#58a6ff;--c1:#bc8cff;--c2:#4cc38a;"
    "--c3:#f0883e}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
    "main{max-width:1080px;margin:0 auto;padding:32px 20px 48px}"
    "header h1{font-size:28px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}"
    "header p{color:var(--dim);margin:0 0 24px}"
    "section{margin:36px 0 0}h2{font-size:19px;margin:0 0 4px;letter-spacing:-.005em}"
    "h3{font-size:15px;margin:0}p{margin:0 0 12px;max-width:90ch}"
    ".intro{color:var(--dim);max-width:none}td.s{white-space:nowrap}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));gap:12px}"
    ".tile,.card,.box{background:var(--card);border:1px solid var(--line);border-radius:10px}"
    ".tile{padding:12px 14px;border-top:3px solid var(--line)}.tile b{display:block;font-size:20px;"
    "font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    ".tile span{display:block;color:var(--dim);font-size:13px}"
    ".tile.good{border-top-color:var(--good)}.tile.warn{border-top-color:var(--warn)}"
    ".tile.bad{border-top-color:var(--bad)}.tile.good b{color:var(--good)}"
    ".tile.warn b{color:var(--warn)}.tile.bad b{color:var(--bad)}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:12px}"
    ".cards.wide{grid-template-columns:repeat(auto-fill,minmax(440px,1fr))}"
    ".card{padding:14px 16px 10px;min-width:0}.card "
    ".top{display:flex;justify-content:space-between;"
    "align-items:center;gap:8px}.card p{color:var(--dim);font-size:13px;margin:2px 0 6px}"
    ".badge{display:inline-block;border-radius:99px;padding:1px 9px;font-size:12px;font-weight:600;"
    "background:var(--line);color:var(--dim);white-space:nowrap}"
    ".badge.good{background:var(--good-bg);color:var(--good)}"
    ".badge.warn{background:var(--warn-bg);color:var(--warn)}"
    ".badge.bad{background:var(--bad-bg);color:var(--bad)}"
    ".note{border-left:4px solid var(--line);background:var(--card);border-radius:6px;"
    "padding:10px 14px;margin:10px 0;max-width:none}.note.good{border-color:var(--good)}"
    ".note.warn{border-color:var(--warn)}.note.bad{border-color:var(--bad);background:var(--bad-bg)"
    "}"
    ".box{overflow-x:auto;margin-top:8px}table{border-collapse:collapse;width:100%;font-size:14px}"
    "th,td{padding:7px 12px;text-align:left;border-bottom:1px solid var(--line);"
    "vertical-align:top;overflow-wrap:break-word}tr:last-child td{border-bottom:0}"
    "th{color:var(--dim);font-weight:600;font-size:13px;white-space:nowrap}"
    "td.r,th.r{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    "svg{display:block;width:100%;height:auto;overflow:visible}svg text{fill:var(--dim);"
    "font:11px system-ui,sans-serif}svg text.v{fill:var(--ink);font-weight:600}"
    ".legend{display:flex;gap:16px;color:var(--dim);font-size:13px;margin:6px 0 10px}"
    ".legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;"
    "vertical-align:-1px}footer{color:var(--dim);font-size:13px;margin-top:40px}"
    "@media print{body{background:#fff}main{padding:0;max-width:none}"
    "section,.card,.tile,tr{break-inside:avoid}.tile,.card,.box{border-color:#ccc}}";

void gy_html_text(struct gy_buf *b, struct gy_str s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *as = NULL;
        switch (s.p[i]) {
        case '&':
            as = "&amp;";
            break;
        case '<':
            as = "&lt;";
            break;
        case '>':
            as = "&gt;";
            break;
        case '"':
            as = "&quot;";
            break;
        case '\'':
            as = "&#39;";
            break;
        default:
            break;
        }
        if (as) {
            gy_buf_add(b, gy_str_sub(s, from, i - from));
            gy_buf_addc(b, as);
            from = i + 1;
        }
    }
    gy_buf_add(b, gy_str_sub(s, from, s.n - from));
}

void gy_html_textf(struct gy_buf *b, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= 0) {
        gy_str_mend(text);
        gy_html_text(b, gy_str_c(text));
    }
}

static void element(struct gy_buf *b, const char *open, struct gy_str text, const char *close)
{
    gy_buf_addc(b, open);
    gy_html_text(b, text);
    gy_buf_addc(b, close);
}

static const char *tone_name(enum gy_tone t)
{
    switch (t) {
    case GY_TONE_PLAIN:
        return "plain";
    case GY_TONE_GOOD:
        return "good";
    case GY_TONE_WARN:
        return "warn";
    case GY_TONE_BAD:
        return "bad";
    }
    return "plain";
}

void gy_html_begin(struct gy_buf *b, struct gy_str title, struct gy_str subtitle)
{
    gy_buf_addc(b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    element(b, "<title>", title, "</title>\n<style>");
    gy_buf_addc(b, style);
    element(b, "</style></head>\n<body><main><header><h1>", title, "</h1>");
    if (subtitle.n) {
        element(b, "<p>", subtitle, "</p>");
    }
    gy_buf_addc(b, "</header>\n");
}

void gy_html_end(struct gy_buf *b, struct gy_str footer)
{
    element(b, "<footer>", footer, "</footer></main></body></html>\n");
}

void gy_html_section(struct gy_buf *b, const char *title, struct gy_str intro)
{
    element(b, "<section><h2>", gy_str_c(title), "</h2>\n");
    if (intro.n) {
        element(b, "<p class=\"intro\">", intro, "</p>\n");
    }
}

void gy_html_section_end(struct gy_buf *b)
{
    gy_buf_addc(b, "</section>\n");
}

void gy_html_p(struct gy_buf *b, struct gy_str text)
{
    element(b, "<p>", text, "</p>\n");
}

void gy_html_note(struct gy_buf *b, enum gy_tone tone, struct gy_str text)
{
    gy_buf_addf(b, "<p class=\"note %s\">", tone_name(tone));
    element(b, "", text, "</p>\n");
}

void gy_html_badge(struct gy_buf *b, enum gy_tone tone, struct gy_str text)
{
    gy_buf_addf(b, "<span class=\"badge %s\">", tone_name(tone));
    element(b, "", text, "</span>");
}

void gy_html_tiles(struct gy_buf *b, const struct gy_html_tile *tiles, size_t n)
{
    gy_buf_addc(b, "<div class=\"tiles\">");
    for (size_t i = 0; i < n; i++) {
        gy_buf_addf(b, "<div class=\"tile %s\">", tone_name(tiles[i].tone));
        element(b, "<span>", tiles[i].label, "</span>");
        element(b, "<b>", tiles[i].value, "</b>");
        if (tiles[i].note.n) {
            element(b, "<span>", tiles[i].note, "</span>");
        }
        gy_buf_addc(b, "</div>");
    }
    gy_buf_addc(b, "</div>\n");
}

void gy_html_table(struct gy_buf *b, const struct gy_html_table *t)
{
    gy_buf_addc(b, "<div class=\"box\"><table><thead><tr>");
    for (size_t c = 0; c < t->n_columns; c++) {
        element(b, t->right && t->right[c] ? "<th class=\"r\">" : "<th>", gy_str_c(t->head[c]),
                "</th>");
    }
    gy_buf_addc(b, "</tr></thead><tbody>\n");
    for (size_t row = 0; row < t->n_rows; row++) {
        gy_buf_addc(b, "<tr>");
        for (size_t c = 0; c < t->n_columns; c++) {
            struct gy_str cell = t->cells[row * t->n_columns + c];
            gy_buf_addc(b, t->right && t->right[c] ? "<td class=\"r\">"
                           : cell.n <= SHORT_CELL  ? "<td class=\"s\">"
                                                   : "<td>");
            if (c == 0 && t->tones && cell.n) {
                gy_html_badge(b, t->tones[row], cell);
            } else {
                gy_html_text(b, cell.p ? cell : GY_STR("-"));
            }
            gy_buf_addc(b, "</td>");
        }
        gy_buf_addc(b, "</tr>\n");
    }
    gy_buf_addc(b, "</tbody></table></div>\n");
}

void gy_html_cards(struct gy_buf *b, bool wide)
{
    gy_buf_addf(b, "<div class=\"cards%s\">", wide ? " wide" : "");
}

void gy_html_card(struct gy_buf *b, struct gy_str title, enum gy_tone tone, struct gy_str badge,
                  struct gy_str text)
{
    element(b, "<div class=\"card\"><div class=\"top\"><h3>", title, "</h3>");
    if (badge.n) {
        gy_html_badge(b, tone, badge);
    }
    gy_buf_addc(b, "</div>");
    if (text.n) {
        element(b, "<p>", text, "</p>");
    }
}

void gy_html_card_end(struct gy_buf *b)
{
    gy_buf_addc(b, "</div>\n");
}

void gy_html_cards_end(struct gy_buf *b)
{
    gy_buf_addc(b, "</div>\n");
}
