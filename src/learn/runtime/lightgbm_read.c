/* SPDX-License-Identifier: Apache-2.0 */
/* LightGBM model file -> flat trees. The text is what GBDT::SaveModelToString writes: a header of
 * "key=value" lines, a section for each tree, "end of trees", then what no answer depends on, and
 * on the last line the categories of pandas. Untrusted input: counts are checked against the text
 * that has to hold them before anything is allocated. */
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "learn/runtime/lightgbm_internal.h"

#define MAX_ARENA ((size_t)256 << 20) /* names and categories */

struct objective {
    const char *name;
    enum gy_lightgbm_output output;
};

static const struct objective g_objectives[] = {
    {"regression", GY_LIGHTGBM_IDENTITY},   {"regression_l1", GY_LIGHTGBM_IDENTITY},
    {"huber", GY_LIGHTGBM_IDENTITY},        {"fair", GY_LIGHTGBM_IDENTITY},
    {"quantile", GY_LIGHTGBM_IDENTITY},     {"mape", GY_LIGHTGBM_IDENTITY},
    {"lambdarank", GY_LIGHTGBM_IDENTITY},   {"rank_xendcg", GY_LIGHTGBM_IDENTITY},
    {"poisson", GY_LIGHTGBM_EXP},           {"gamma", GY_LIGHTGBM_EXP},
    {"tweedie", GY_LIGHTGBM_EXP},           {"binary", GY_LIGHTGBM_SIGMOID},
    {"cross_entropy", GY_LIGHTGBM_SIGMOID}, {"cross_entropy_lambda", GY_LIGHTGBM_LOG1P},
    {"multiclass", GY_LIGHTGBM_SOFTMAX},    {"multiclassova", GY_LIGHTGBM_SIGMOID},
};

gy_status gy_lightgbm_corrupt(struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_CORRUPT, "not a LightGBM model: %s", what);
}

/* ---- lines and numbers ---- */

struct gy_str gy_lightgbm_line(const struct gy_lightgbm_lines *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++) {
        if (gy_str_eqc(l->keys[i], key)) {
            return l->values[i];
        }
    }
    return GY_STR_NULL;
}

bool gy_lightgbm_i64s(struct gy_str text, size_t n, int64_t *out)
{
    struct gy_str rest = gy_str_trim(text), piece = GY_STR_NULL;
    size_t i = 0;
    while (gy_str_next(&rest, ' ', &piece)) {
        if (i == n || gy_parse_i64(piece, INT64_MIN, INT64_MAX, &out[i++], NULL) != GY_OK) {
            return false;
        }
    }
    return i == n;
}

bool gy_lightgbm_f64s(struct gy_str text, size_t n, double *out)
{
    struct gy_str rest = gy_str_trim(text), piece = GY_STR_NULL;
    size_t i = 0;
    while (gy_str_next(&rest, ' ', &piece)) {
        char copy[64];
        char *end = NULL;
        if (i == n || piece.n == 0 || piece.n >= sizeof copy) {
            return false;
        }
        memcpy(copy, piece.p, piece.n);
        copy[piece.n] = '\0';
        out[i++] = strtod(copy, &end);
        if (end != copy + piece.n) {
            return false;
        }
    }
    return i == n;
}

/* The lines up to the next blank one, or a line that starts a section; *rest then begins there. A
 * line without '=' is a key with an empty value ("average_output"). */
static void read_lines(struct gy_str *rest, struct gy_lightgbm_lines *l)
{
    struct gy_str line = GY_STR_NULL;
    l->n = 0;
    while (rest->p) {
        struct gy_str after = *rest;
        (void)gy_str_next(&after, '\n', &line);
        line = gy_str_trim(line);
        if (line.n == 0 || gy_str_starts(line, GY_STR("Tree=")) ||
            gy_str_eqc(line, "end of trees")) {
            return;
        }
        *rest = after;
        if (l->n < sizeof l->keys / sizeof l->keys[0]) {
            (void)gy_str_cut(line, '=', &l->keys[l->n], &l->values[l->n]);
            l->n++;
        }
    }
}

/* The next line that is not blank. */
static struct gy_str next_line(struct gy_str *rest)
{
    struct gy_str line = GY_STR_NULL;
    while (gy_str_next(rest, '\n', &line)) {
        line = gy_str_trim(line);
        if (line.n > 0) {
            return line;
        }
    }
    return GY_STR_NULL;
}

/* ---- the header ---- */

/* "binary sigmoid:1": the name, then words. */
static gy_status read_objective(struct gy_str text, struct gy_lightgbm *m, struct gy_err *err)
{
    struct gy_str rest = gy_str_trim(text), word = GY_STR_NULL;
    m->info.sigmoid = 1;
    if (rest.n == 0) {
        return GY_OK; /* a loss of the user's own: LightGBM answers with the sums */
    }
    (void)gy_str_next(&rest, ' ', &word);
    const struct objective *found = NULL;
    for (size_t i = 0; i < sizeof g_objectives / sizeof g_objectives[0]; i++) {
        found = gy_str_eqc(word, g_objectives[i].name) ? &g_objectives[i] : found;
    }
    if (!found && !gy_str_eqc(word, "custom") && !gy_str_eqc(word, "none")) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "LightGBM objective '%" GY_STR_F "' is not supported", GY_STR_A(word));
    }
    if (!found) {
        return GY_OK;
    }
    memcpy(m->info.objective, word.p, word.n);
    m->info.output = found->output;
    while (gy_str_next(&rest, ' ', &word)) {
        if (gy_str_eqc(word, "sqrt")) {
            m->info.output = GY_LIGHTGBM_SQUARE;
        } else if (gy_str_starts(word, GY_STR("sigmoid:"))) {
            if (!gy_lightgbm_f64s(gy_str_sub(word, 8, word.n), 1, &m->info.sigmoid) ||
                !(m->info.sigmoid > 0) || !isfinite(m->info.sigmoid)) {
                return gy_lightgbm_corrupt(err, "sigmoid is out of range");
            }
        }
    }
    return GY_OK;
}

static gy_status header_i64(const struct gy_lightgbm_lines *l, const char *key, int64_t min,
                            int64_t max, int64_t *ret, struct gy_err *err)
{
    struct gy_str text = gy_lightgbm_line(l, key);
    if (!text.p || !gy_lightgbm_i64s(text, 1, ret) || *ret < min) {
        return gy_err_set(err, GY_E_CORRUPT, "not a LightGBM model: bad or no '%s'", key);
    }
    if (*ret > max) {
        return gy_err_set(err, GY_E_TOOBIG, "the model has %s %lld; at most %lld are read", key,
                          (long long)*ret, (long long)max);
    }
    return GY_OK;
}

/* Names; and which are categories: their info is "1:4:0", not "[-3.5:2]" or "none". */
static gy_status read_features(const struct gy_lightgbm_lines *l, struct gy_lightgbm *m,
                               struct gy_err *err)
{
    struct gy_str names = gy_lightgbm_line(l, "feature_names");
    struct gy_str infos = gy_lightgbm_line(l, "feature_infos");
    struct gy_str word = GY_STR_NULL;
    m->features = gy_calloc(m->info.n_features, sizeof *m->features);
    if (!m->features) {
        return gy_err_set(err, GY_E_NOMEM, "a model of %zu features", m->info.n_features);
    }
    for (size_t i = 0; i < m->info.n_features; i++) {
        if (!gy_str_next(&names, ' ', &word) || word.n == 0) {
            return gy_lightgbm_corrupt(err, "feature_names does not name every feature");
        }
        m->features[i].name = gy_arena_str(&m->arena, word);
        if (!m->features[i].name.p) {
            return gy_err_set(err, GY_E_NOMEM, "the names of features");
        }
        if (gy_str_next(&infos, ' ', &word)) {
            m->features[i].categorical =
                word.n > 0 && word.p[0] != '[' && !gy_str_eqc(word, "none");
        }
    }
    return GY_OK;
}

static gy_status read_header(const struct gy_lightgbm_lines *l, struct gy_lightgbm *m,
                             struct gy_err *err)
{
    struct gy_str version = gy_lightgbm_line(l, "version");
    int64_t last_feature = 0, n_classes = 0, n_trees = 0;
    if (!gy_str_eqc(version, "v4") && !gy_str_eqc(version, "v3") && !gy_str_eqc(version, "v2")) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "LightGBM model of version '%" GY_STR_F "': v2 to v4 are read",
                          GY_STR_A(version));
    }
    GY_TRY(header_i64(l, "max_feature_idx", 0, GY_LIGHTGBM_MAX_FEATURES - 1, &last_feature, err));
    GY_TRY(header_i64(l, "num_class", 1, GY_LIGHTGBM_MAX_CLASSES, &n_classes, err));
    GY_TRY(header_i64(l, "num_tree_per_iteration", 1, GY_LIGHTGBM_MAX_CLASSES, &n_trees, err));
    GY_TRY(read_objective(gy_lightgbm_line(l, "objective"), m, err));
    bool classes = gy_str_starts(gy_str_c(m->info.objective), GY_STR("multiclass"));
    if (n_trees > 1 && !classes) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "LightGBM model with several outputs that are not classes");
    }
    if (n_classes != n_trees || (classes && n_classes < 2)) {
        return gy_lightgbm_corrupt(err, "num_class does not fit the objective");
    }
    m->info.n_features = (size_t)last_feature + 1;
    m->info.n_outputs = (size_t)n_classes;
    m->info.average = gy_lightgbm_line(l, "average_output").p != NULL;
    for (size_t i = 0; i < l->n && !m->info.average; i++) {
        m->info.average = gy_str_eqc(l->keys[i], "average_output");
    }
    return read_features(l, m, err);
}

/* ---- the categories of pandas ---- */

static gy_status keep_categories(yyjson_val *list, struct gy_lightgbm *m,
                                 struct gy_lightgbm_feature *f, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *v;
    struct gy_str *categories =
        gy_arena_calloc(&m->arena, yyjson_arr_size(list) + 1, sizeof *categories);
    if (!categories) {
        return gy_err_set(err, GY_E_NOMEM, "categories");
    }
    yyjson_arr_foreach(list, i, n, v)
    {
        char text[32];
        struct gy_str s = gy_json_val_str(v);
        if (yyjson_is_bool(v)) {
            s = yyjson_get_bool(v) ? GY_STR("True") : GY_STR("False");
        } else if (yyjson_is_num(v)) {
            s = gy_str_n(text, gy_fmt_f64_trim(yyjson_get_num(v), text));
        } else if (!yyjson_is_str(v)) {
            return GY_OK; /* of a kind that has no text */
        }
        categories[i] = gy_arena_str(&m->arena, s);
        if (!categories[i].p) {
            return gy_err_set(err, GY_E_NOMEM, "categories");
        }
    }
    f->categories = categories;
    f->n_categories = yyjson_arr_size(list);
    f->numbers = yyjson_is_num(yyjson_arr_get_first(list));
    return GY_OK;
}

/* A list for each column of categories, in the order of the columns. Which columns those are is
 * told by feature_infos, unless one of them was of no use; then nothing is known. */
static gy_status read_pandas(struct gy_str text, struct gy_lightgbm *m, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    size_t n_columns = 0;
    gy_status status = gy_json_parse(gy_str_trim(text), &doc, err);
    if (status != GY_OK) {
        return status == GY_E_NOMEM ? status : GY_OK;
    }
    yyjson_val *lists = yyjson_doc_get_root(doc);
    for (size_t i = 0; i < m->info.n_features; i++) {
        n_columns += m->features[i].categorical;
    }
    if (!yyjson_is_arr(lists) || yyjson_arr_size(lists) != n_columns) {
        return GY_OK;
    }
    yyjson_val *list = yyjson_arr_get_first(lists);
    for (size_t i = 0; i < m->info.n_features && list; i++) {
        if (m->features[i].categorical) {
            GY_TRY(keep_categories(list, m, &m->features[i], err));
            list = unsafe_yyjson_get_next(list);
            n_columns--;
            if (n_columns == 0) {
                break;
            }
        }
    }
    return GY_OK;
}

/* ---- the file ---- */

static gy_status read_trees(struct gy_str *rest, struct gy_lightgbm *m, struct gy_err *err)
{
    struct gy_lightgbm_lines lines;
    for (;;) {
        struct gy_str line = next_line(rest);
        if (gy_str_eqc(line, "end of trees")) {
            break;
        }
        if (!gy_str_starts(line, GY_STR("Tree="))) {
            return gy_lightgbm_corrupt(err, "no 'end of trees': the file is cut off or damaged");
        }
        read_lines(rest, &lines);
        gy_status status = gy_lightgbm_add_tree(m, &lines, err);
        if (status != GY_OK) {
            return gy_err_wrap(err, "tree %zu", m->info.n_trees);
        }
    }
    if (m->info.n_trees % m->info.n_outputs != 0) {
        return gy_lightgbm_corrupt(err, "the number of trees does not fit the classes");
    }
    m->n_padded = (m->info.n_trees + GY_LIGHTGBM_LANES - 1) / GY_LIGHTGBM_LANES * GY_LIGHTGBM_LANES;
    return GY_OK;
}

gy_status gy_lightgbm_parse(struct gy_str text, struct gy_lightgbm **ret, struct gy_err *err)
{
    struct gy_str rest = text;
    struct gy_lightgbm_lines header;
    if (!gy_str_eqc(next_line(&rest), "tree")) {
        return gy_lightgbm_corrupt(err, "the first line is not 'tree'");
    }
    GY_AUTO(gy_lightgbm_free) struct gy_lightgbm *m = gy_calloc(1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "loading trees");
    }
    gy_arena_init_small(&m->arena, MAX_ARENA);
    read_lines(&rest, &header);
    GY_TRY(read_header(&header, m, err));
    GY_TRY(gy_lightgbm_pad(m, err));
    GY_TRY(read_trees(&rest, m, err));
    size_t at = gy_str_find_str(rest, GY_STR("\npandas_categorical:"));
    if (at != SIZE_MAX) {
        struct gy_str tail = gy_str_sub(rest, at + 20, rest.n), line = GY_STR_NULL;
        (void)gy_str_next(&tail, '\n', &line);
        GY_TRY(read_pandas(line, m, err));
    }
    *ret = GY_TAKE(m);
    return GY_OK;
}
