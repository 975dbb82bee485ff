/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as one HTML file: nothing from elsewhere, no script, light and dark, printable. These put
 * whole pieces into a buffer; every text is escaped. Failures stick to the buffer (base/buf.h).
 * Charts: watch/svg.h. Pure; one owner a buffer.
 *
 *   gy_html_begin -> (gy_html_section -> pieces -> gy_html_section_end)* -> gy_html_end */
#ifndef GY_WATCH_HTML_H
#define GY_WATCH_HTML_H

#include "base/buf.h"

enum gy_tone { GY_TONE_PLAIN, GY_TONE_GOOD, GY_TONE_WARN, GY_TONE_BAD };

void gy_html_text(struct gy_buf *b, struct gy_str s); /* escaped, also for attributes */
void gy_html_textf(struct gy_buf *b, const char *fmt, ...) GY_PRINTF(2, 3);

/* The page up to and with its headline; subtitle MAY be absent. */
void gy_html_begin(struct gy_buf *b, struct gy_str title, struct gy_str subtitle);
void gy_html_end(struct gy_buf *b, struct gy_str footer);
/* intro MAY be absent. */
void gy_html_section(struct gy_buf *b, const char *title, struct gy_str intro);
void gy_html_section_end(struct gy_buf *b);
void gy_html_p(struct gy_buf *b, struct gy_str text);
/* A sentence that stands out. */
void gy_html_note(struct gy_buf *b, enum gy_tone tone, struct gy_str text);
void gy_html_badge(struct gy_buf *b, enum gy_tone tone, struct gy_str text);

/* Numbers at the top. */
struct gy_html_tile {
    struct gy_str label, value, note; /* note MAY be absent */
    enum gy_tone tone;
};
void gy_html_tiles(struct gy_buf *b, const struct gy_html_tile *tiles, size_t n);

/* Cells row by row, absent: a dash. right[c]: numbers (NULL: none). tones[row]: of its first cell
 * (NULL: none). */
struct gy_html_table {
    const char *const *head;
    size_t n_columns, n_rows;
    const struct gy_str *cells;
    const bool *right;
    const enum gy_tone *tones;
};
void gy_html_table(struct gy_buf *b, const struct gy_html_table *t);

/* A row of cards, each with a chart: gy_html_cards, (gy_html_card, chart, gy_html_card_end)*,
 * gy_html_cards_end. badge absent: none; text MAY be absent. */
void gy_html_cards(struct gy_buf *b, bool wide); /* wide: two in a line, else three */
void gy_html_card(struct gy_buf *b, struct gy_str title, enum gy_tone tone, struct gy_str badge,
                  struct gy_str text);
void gy_html_card_end(struct gy_buf *b);
void gy_html_cards_end(struct gy_buf *b);

#endif
