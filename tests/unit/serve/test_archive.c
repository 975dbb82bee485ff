/* SPDX-License-Identifier: Apache-2.0 */
/* Archives without a server: what tests/cli/test_backup.py can not reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "scratch.h"
#include "serve/archive.h"
#include "store/places.h"

struct world {
    struct scratch *s;
    struct gy_home home; /* with one artifact, and a key that an operator put there */
    struct gy_objects *objects;
    struct gy_arena arena;
    struct gy_archive_source src;
    char sha256[GY_SHA256_HEX], archive[GY_MAX_PATH];
    struct gy_err err;
};

#define OK(w, call) assert_status(w, GY_OK, call)

static void assert_status(struct world *w, gy_status want, gy_status got)
{
    if (want != got) {
        fail_msg("%d instead of %d: %s", (int)got, (int)want, w->err.msg);
    }
}

static const char *at(struct world *w, const char *name)
{
    static char path[GY_MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", w->s->dir, name);
    return path;
}

static gy_status add_artifact(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db,
                      "INSERT INTO artifacts (path, sha256, size_bytes, actor, created_us) VALUES "
                      "('0/r/a', ?, 5, 't', 1)",
                      GY_VALS(gy_vc(ctx)), NULL, err);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char path[GY_MAX_PATH];
    w->s = scratch_new();
    gy_arena_init(&w->arena, 16 * GY_MIB);
    OK(w, gy_home_find(at(w, "home"), true, &w->home, &w->err));
    OK(w, gy_home_path(&w->home, "gyre.db", path, &w->err));
    snprintf(w->s->url, sizeof w->s->url, "sqlite://%s", path);
    scratch_open(w->s);
    OK(w, gy_home_path(&w->home, "objects", path, &w->err));
    OK(w, gy_objects_open(path, &w->objects, &w->err));
    OK(w, gy_objects_put(w->objects, GY_STR("bytes"), w->sha256, &w->err));
    scratch_write(w->s, add_artifact, w->sha256);
    OK(w, gy_home_path(&w->home, "a.key", path, &w->err));
    OK(w, gy_file_write(path, GY_STR("key"), 0600, &w->err));
    w->src =
        (struct gy_archive_source){.home = &w->home, .store = w->s->store, .objects = w->objects};
    snprintf(w->archive, sizeof w->archive, "%s", at(w, "archive"));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    gy_objects_free(w->objects);
    gy_home_done(&w->home);
    gy_arena_done(&w->arena);
    scratch_free(w->s);
    free(w);
    assert_int_equal(gy_mem_live(), 0);
    return 0;
}

static gy_status make(struct world *w, const char *dir)
{
    struct gy_archive_info info;
    return gy_archive_make(&w->src, dir, NULL, NULL, &w->arena, &info, &w->err);
}

static void restore(struct world *w, const struct gy_archive_target *to)
{
    struct gy_archive_info info;
    OK(w, gy_archive_restore(w->archive, GY_STR_NULL, to, NULL, NULL, &w->arena, &info, &w->err));
}

static void whole_without_anybody_who_watches(void **state)
{
    struct world *w = *state;
    struct gy_archive_info info = {.rows = 0};
    OK(w, make(w, w->archive));
    OK(w, gy_archive_verify(w->archive, GY_STR_NULL, NULL, NULL, &w->arena, &info, &w->err));
    assert_int_equal(info.objects, 1);
    restore(w, &(struct gy_archive_target){.home_dir = at(w, "again")});
    assert_true(gy_path_exists(at(w, "again/a.key")));
}

/* It would be copied into itself until the disk is full. */
static void an_archive_in_the_home_is_refused(void **state)
{
    struct world *w = *state;
    static const char *const inside[] = {"home", "home/backups", "home/cache/a/b", "link",
                                         "link/backups"};
    char link[GY_MAX_PATH], path[GY_MAX_PATH];
    snprintf(link, sizeof link, "%s", at(w, "link"));
    assert_int_equal(symlink("home", link), 0);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        snprintf(path, sizeof path, "%s", at(w, inside[i]));
        assert_status(w, GY_E_CONFLICT, make(w, path));
        assert_non_null(strstr(w->err.msg, "lies in the home"));
        assert_non_null(strstr(w->err.hint, "outside"));
    }
    assert_false(gy_path_exists(at(w, "home/backups")));
    assert_false(gy_path_exists(at(w, "home/archive.lock")));
    snprintf(path, sizeof path, "%s", at(w, "home2/new")); /* only the beginning is the same */
    OK(w, make(w, path));
}

/* A restored home that remembered where the old one's parts were would not start. */
static void a_restored_home_remembers_its_own_places(void **state)
{
    struct world *w = *state;
    char url[GY_MAX_PATH + 16], path[GY_MAX_PATH];
    struct gy_home again = {.lock_fd = -1};
    OK(w, gy_place_remember(&w->home, GY_PLACE_STORE, "postgresql://u@h/old", &w->err));
    OK(w, gy_place_remember(&w->home, GY_PLACE_OBJECTS, "s3://old/objects", &w->err));
    OK(w, make(w, w->archive));
    snprintf(again.dir, sizeof again.dir, "%s", at(w, "again"));
    restore(w, &(struct gy_archive_target){.home_dir = again.dir});
    OK(w, gy_place_check(&again, GY_PLACE_STORE, NULL, &w->err));
    OK(w, gy_place_check(&again, GY_PLACE_OBJECTS, NULL, &w->err));

    snprintf(again.dir, sizeof again.dir, "%s", at(w, "third"));
    snprintf(url, sizeof url, "sqlite://%s", at(w, "elsewhere.db"));
    snprintf(path, sizeof path, "%s", at(w, "bytes"));
    restore(w, &(struct gy_archive_target){
                   .home_dir = again.dir, .store_url = url, .objects_url = path});
    OK(w, gy_place_check(&again, GY_PLACE_STORE, url, &w->err));
    OK(w, gy_place_check(&again, GY_PLACE_OBJECTS, path, &w->err));
    assert_status(w, GY_E_CONFLICT, gy_place_check(&again, GY_PLACE_STORE, NULL, &w->err));
    assert_status(w, GY_E_CONFLICT, gy_place_check(&again, GY_PLACE_OBJECTS, NULL, &w->err));
    assert_false(gy_path_exists(at(w, "third/gyre.db")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_without_anybody_who_watches, setup, teardown),
        cmocka_unit_test_setup_teardown(an_archive_in_the_home_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restored_home_remembers_its_own_places, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
