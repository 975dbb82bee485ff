/* SPDX-License-Identifier: Apache-2.0 */
/* SQL as a row of words, as far as it takes to tell its statements apart and to find the files that
 * it names as tables. It must agree with DuckDB's lexer on where a string, a name or a comment
 * ends; where it does not, DuckDB's parser refuses the piece or reads a file by itself: nothing is
 * run that DuckDB has not parsed. Values only; pure. */
#ifndef GY_DATA_DUCK_SQL_H
#define GY_DATA_DUCK_SQL_H

#include "base/buf.h"

enum gy_duck_word {
    GY_DUCK_WORD_END,
    GY_DUCK_WORD_BARE,   /* SELECT, x, 12, $name */
    GY_DUCK_WORD_STRING, /* 'it''s', E'a\n', $$text$$ */
    GY_DUCK_WORD_NAME,   /* "a ""b""" */
    GY_DUCK_WORD_SIGN    /* any other byte */
};
struct gy_duck_token {
    enum gy_duck_word kind;
    struct gy_str text; /* as written */
};

/* The next word of *rest, which is advanced behind it; blanks and comments are passed over. */
struct gy_duck_token gy_duck_token_next(struct gy_str *rest);
/* What a STRING '...' or a NAME says, its quotes undone; false for the other spellings. */
bool gy_duck_token_text(const struct gy_duck_token *t, struct gy_buf *out);
/* The next statement, without its ';'; false when only blanks, comments and ';' are left. */
bool gy_duck_statement_next(struct gy_str *rest, struct gy_str *ret);
/* Call fn with each word that stands where a table is named, alone (no function, no schema before
 * it), quoted or bare. The first failure ends it. */
GY_CHECKED gy_status gy_duck_tables(struct gy_str statement,
                                    gy_status (*fn)(void *ctx, struct gy_str name,
                                                    struct gy_err *err),
                                    void *ctx, struct gy_err *err);
/* Call fn with the first argument of each call of the function, where it is a plain string:
 * dataset('sepsis@3'). The first failure ends it. */
GY_CHECKED gy_status gy_duck_arguments(struct gy_str statement, const char *function,
                                       gy_status (*fn)(void *ctx, struct gy_str argument,
                                                       struct gy_err *err),
                                       void *ctx, struct gy_err *err);

#endif
