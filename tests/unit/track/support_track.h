/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario is one closure on a store of the test's own: it runs on the writer thread, where
 * cmocka's assertions can not be used, so it returns what was wrong. */
#ifndef GY_TESTS_SUPPORT_TRACK_H
#define GY_TESTS_SUPPORT_TRACK_H

#include "scratch.h"
#include "track/history.h"
#include "unit.h"

#define ANN GY_STR("ann")
#define BEN GY_STR("ben")
#define NOBODY GY_STR("anonymous")

#define CHECK(cond)                                                              \
    do {                                                                         \
        if (!(cond)) {                                                           \
            return gy_err_set(err, GY_E_FAILED, "line %d: %s", __LINE__, #cond); \
        }                                                                        \
    } while (0)
/* A call that must end with this status; its message is in `why`. */
#define EXPECT(status, call)                                                                 \
    do {                                                                                     \
        why = (struct gy_err)GY_ERR_INIT;                                                    \
        gy_status got_ = (call);                                                             \
        if (got_ != (status)) {                                                              \
            return gy_err_set(err, GY_E_FAILED, "line %d: %s gave %s (%s)", __LINE__, #call, \
                              gy_status_name(got_), why.msg);                                \
        }                                                                                    \
    } while (0)
#define SAYS(text) CHECK(strstr(why.msg, (text)) != NULL)

/* A model with versions 1..n, that have no files. */
GY_UNUSED static gy_status make_model(struct gy_db *db, const char *name, int n, struct gy_arena *a,
                                      struct gy_err *err)
{
    struct gy_model_version v;
    struct gy_version_new in = {.name = gy_str_c(name), .source = GY_STR("s3://elsewhere/model")};
    GY_TRY(gy_model_create(db, in.name, GY_STR_NULL, NULL, 0, ANN, err));
    for (int i = 0; i < n; i++) {
        GY_TRY(gy_version_create(db, &in, ANN, a, &v, err));
    }
    return GY_OK;
}

/* A version's digest, as if its files were here. */
GY_UNUSED static gy_status give_digest(struct gy_db *db, const char *name, int64_t version,
                                       const char *digest, struct gy_err *err)
{
    return gy_db_exec(db,
                      "UPDATE model_versions SET digest = ? WHERE version = ? AND model = (SELECT "
                      "id FROM registered_models WHERE name = ?)",
                      GY_VALS(gy_vc(digest), gy_vi(version), gy_vc(name)), NULL, err);
}

GY_UNUSED static int track_setup(void **state)
{
    *state = scratch_new();
    scratch_open(*state);
    return 0;
}

GY_UNUSED static int track_teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

#define SCENARIO(name)                                                               \
    static gy_status name##_scene(struct gy_db *db, GY_UNUSED struct gy_arena *a,    \
                                  struct gy_err *err);                               \
    static gy_status name##_closure(struct gy_db *db, void *ctx, struct gy_err *err) \
    {                                                                                \
        struct gy_arena a;                                                           \
        (void)ctx;                                                                   \
        gy_arena_init(&a, 64 * GY_MIB);                                              \
        gy_status status = name##_scene(db, &a, err);                                \
        gy_arena_done(&a);                                                           \
        return status;                                                               \
    }                                                                                \
    static void name(void **state)                                                   \
    {                                                                                \
        scratch_write(*state, name##_closure, NULL);                                 \
    }                                                                                \
    static gy_status name##_scene(struct gy_db *db, GY_UNUSED struct gy_arena *a,    \
                                  struct gy_err *err)

#define SCENE(name) cmocka_unit_test_setup_teardown(name, track_setup, track_teardown)

#endif
