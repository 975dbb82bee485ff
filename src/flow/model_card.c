/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/model_card.h"

#include "base/limits.h"
#include "base/time.h"
#include "base/yaml.h"
#include "flow/model_diff.h"

const char *const gy_card_keys[] = {"intended_use", "out_of_scope", "owner",
                                    "risk_class",   "ethics",       "notes",
                                    "limits",       "contacts",     NULL};

bool gy_card_key_is_list(struct gy_str key)
{
    return gy_str_eqc(key, "limits") || gy_str_eqc(key, "contacts");
}

static gy_status check_text(const char *key, yyjson_val *v, struct gy_err *err)
{
    struct gy_str s = gy_json_val_str(v);
    return s.p && gy_str_trim(s).n > 0 && s.n <= GY_CARD_MAX_TEXT
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "card: '%s' must be a text of 1 to %zu bytes", key,
                            GY_CARD_MAX_TEXT);
}

static gy_status check_value(const char *key, yyjson_val *v, struct gy_err *err)
{
    if (!gy_card_key_is_list(gy_str_c(key))) {
        return check_text(key, v, err);
    }
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) > GY_CARD_MAX_ITEMS) {
        return gy_err_set(err, GY_E_INVALID, "card: '%s' must be a list of at most %d texts", key,
                          GY_CARD_MAX_ITEMS);
    }
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(v, i, n, one)
    {
        GY_TRY(check_text(key, one, err));
    }
    return GY_OK;
}

static gy_status check_keys(yyjson_val *set, struct gy_err *err)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(set);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        struct gy_str name = gy_json_val_str(key);
        bool known = false;
        for (size_t i = 0; gy_card_keys[i]; i++) {
            known |= gy_str_eqc(name, gy_card_keys[i]);
        }
        if (!known) {
            (void)gy_err_set(err, GY_E_INVALID, "card: unknown key '%" GY_STR_F "'",
                             GY_STR_A(gy_str_sub(name, 0, 100)));
            const char *near = gy_yaml_nearest(name, gy_card_keys);
            return near ? gy_err_hint(err, "did you mean '%s'?", near) : GY_E_INVALID;
        }
    }
    return GY_OK;
}

gy_status gy_card_state(yyjson_val *stated, yyjson_val *set, struct gy_buf *ret, struct gy_err *err)
{
    struct gy_jw w;
    if (set && !yyjson_is_obj(set)) {
        return gy_err_set(err, GY_E_INVALID, "card: what is set must be a map of keys to texts");
    }
    GY_TRY(check_keys(set, err));
    gy_jw_init(&w, ret);
    gy_jw_obj(&w);
    for (size_t i = 0; gy_card_keys[i]; i++) {
        yyjson_val *now = gy_json_get(set, gy_card_keys[i]);
        yyjson_val *v = now ? now : gy_json_get(stated, gy_card_keys[i]);
        bool empty = yyjson_is_arr(v) && yyjson_arr_size(v) == 0;
        if (!v || yyjson_is_null(v) || empty) {
            continue;
        }
        GY_TRY(check_value(gy_card_keys[i], v, err));
        gy_jw_key(&w, gy_card_keys[i]);
        gy_jw_val(&w, v);
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(ret, "the card", err);
}

gy_status gy_card_start(yyjson_val *facts, struct gy_buf *ret, struct gy_err *err)
{
    yyjson_val *card = gy_json_get(facts, "package_card");
    bool ours = gy_str_eqc(gy_json_str(card, "format"), "gyre.card/1");
    struct gy_jw w;
    gy_jw_init(&w, ret);
    gy_jw_obj(&w);
    for (size_t i = 0; gy_card_keys[i]; i++) {
        yyjson_val *v = gy_json_get(card, gy_card_keys[i]);
        bool derived = ours && strcmp(gy_card_keys[i], "limits") == 0; /* told as the package's */
        if (v && !derived && check_value(gy_card_keys[i], v, NULL) == GY_OK) {
            gy_jw_key(&w, gy_card_keys[i]);
            gy_jw_val(&w, v);
        }
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(ret, "the card", err);
}

static void copy(struct gy_jw *w, const char *key, yyjson_val *v)
{
    gy_jw_key(w, key);
    if (v) {
        gy_jw_val(w, v);
    } else {
        gy_jw_null(w);
    }
}

void gy_card_write(struct gy_jw *w, yyjson_val *facts, struct gy_str stated,
                   const struct gy_card_mark *mark)
{
    static const char *const copied[] = {"run_id",   "created",   "usecase", "aliases", "profile",
                                         "verdicts", "approvals", "history", "lineage", "sections"};
    yyjson_val *package = gy_json_get(facts, "package_card");
    char time[32];
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "format", "gyre.modelcard/1");
    copy(w, "model", gy_json_get(facts, "name"));
    copy(w, "version", gy_json_get(facts, "version"));
    copy(w, "digest", gy_json_get(gy_json_get(gy_json_get(facts, "sections"), "model"), "digest"));
    gy_jw_kv_i64(w, "number", mark->number);
    gy_jw_kv_str(w, "saved_by", mark->actor);
    if (mark->time_us) {
        (void)gy_time_iso(mark->time_us, time);
        gy_jw_kv_strc(w, "saved", time);
    } else {
        gy_jw_kv_null(w, "saved");
    }
    gy_jw_kv_str(w, "reason", mark->reason.n ? mark->reason : GY_STR_NULL);
    gy_jw_key(w, "stated");
    gy_jw_raw(w, stated);
    copy(w, "inputs", gy_json_get(package, "inputs"));
    copy(w, "package_limits", gy_json_get(package, "limits"));
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        copy(w, copied[i], gy_json_get(facts, copied[i]));
    }
    gy_jw_obj_end(w);
}

void gy_card_diff(yyjson_val *a, yyjson_val *b, struct gy_jw *w)
{
    yyjson_val *sa = gy_json_get(a, "sections"), *sb = gy_json_get(b, "sections");
    size_t total = 0;
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "a", gy_json_i64(a, "number", 0));
    gy_jw_kv_i64(w, "b", gy_json_i64(b, "number", 0));
    gy_jw_key(w, "sections");
    gy_jw_arr(w);
    for (size_t i = 0; i == 0 || gy_facts_sections[i - 1]; i++) {
        const char *name = i ? gy_facts_sections[i - 1] : "stated";
        yyjson_val *x = i ? gy_json_get(sa, name) : gy_json_get(a, "stated");
        yyjson_val *y = i ? gy_json_get(sb, name) : gy_json_get(b, "stated");
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "section", name);
        gy_jw_key(w, "rows");
        size_t n = gy_diff_rows(x, y, false, w);
        gy_jw_kv_i64(w, "changed", (int64_t)n);
        gy_jw_obj_end(w);
        total += n;
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "same", total == 0);
    gy_jw_obj_end(w);
}
