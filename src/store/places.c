/* SPDX-License-Identifier: Apache-2.0 */
#include "store/places.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "store/url.h"

#define PLACE_BYTES (GY_MAX_PATH + GY_STORE_URL_SHOWN)

static const struct place_text {
    const char *file, *what, *option, *variable;
} places[] = {
    [GY_PLACE_STORE] = {"store", "metadata", "--store", "GYRE_STORE_URL"},
    [GY_PLACE_OBJECTS] = {"objects-url", "objects", "--objects", "GYRE_OBJECTS_URL"},
};

bool gy_place_is_file(const char *name)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (strcmp(name, places[i].file) == 0) {
            return true;
        }
    }
    return false;
}

/* "" for what is in the home or in memory. */
static gy_status place_of(const char *url, char out[PLACE_BYTES], struct gy_err *err)
{
    char shown[GY_STORE_URL_SHOWN], cwd[GY_MAX_PATH];
    out[0] = '\0';
    if (!url || strstr(url, ":memory:") || strcmp(url, "memory:") == 0) {
        return GY_OK;
    }
    if (strstr(url, "://") || url[0] == '/') {
        (void)snprintf(out, PLACE_BYTES, "%s", gy_store_url_place(url, shown));
        return GY_OK;
    }
    if (!getcwd(cwd, sizeof cwd)) {
        return gy_err_sys(err, errno, "asking for the working folder");
    }
    (void)snprintf(out, PLACE_BYTES, "%s/%s", cwd, url); /* a folder */
    return GY_OK;
}

static gy_status read_place(const struct gy_home *h, enum gy_place which, char out[PLACE_BYTES],
                            struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, PLACE_BYTES - 1);
    out[0] = '\0';
    GY_TRY(gy_home_path(h, places[which].file, path, err));
    if (!gy_path_exists(path)) {
        return GY_OK;
    }
    GY_TRY(gy_file_read(path, &text, err));
    struct gy_str place = gy_str_trim(gy_buf_str(&text));
    (void)snprintf(out, PLACE_BYTES, "%" GY_STR_F, GY_STR_A(place));
    return GY_OK;
}

/* The home's own folder or file, named: the same as not named. */
static bool is_own(const struct gy_home *h, enum gy_place which, const char *place)
{
    char own[GY_MAX_PATH];
    const char *scheme = which == GY_PLACE_STORE ? "sqlite://" : "";
    return gy_home_path(h, which == GY_PLACE_STORE ? "gyre.db" : "objects", own, NULL) == GY_OK &&
           strncmp(place, scheme, strlen(scheme)) == 0 && strcmp(place + strlen(scheme), own) == 0;
}

gy_status gy_place_check(const struct gy_home *h, enum gy_place which, const char *url,
                         struct gy_err *err)
{
    const struct place_text *t = &places[which];
    char known[PLACE_BYTES], asked[PLACE_BYTES];
    GY_TRY(read_place(h, which, known, err));
    GY_TRY(place_of(url, asked, err));
    bool own = asked[0] == '\0' || is_own(h, which, asked);
    if (!known[0] || strcmp(known, asked) == 0 || (url && asked[0] == '\0')) {
        return GY_OK;
    }
    gy_err_set(err, GY_E_CONFLICT, "the %s of this home are in %.200s, not %s%.200s", t->what,
               known, own ? "in the home" : "in ", own ? "" : asked);
    return gy_err_hint(err, "give %s URL or set %s; when they were moved, remove %.120s/%s",
                       t->option, t->variable, h->dir, t->file);
}

gy_status gy_place_remember(const struct gy_home *h, enum gy_place which, const char *url,
                            struct gy_err *err)
{
    char known[PLACE_BYTES], place[PLACE_BYTES], path[GY_MAX_PATH];
    GY_TRY(place_of(url, place, err));
    GY_TRY(read_place(h, which, known, err));
    if (!place[0] || is_own(h, which, place) || strcmp(known, place) == 0) {
        return GY_OK;
    }
    GY_TRY(gy_home_path(h, places[which].file, path, err));
    size_t n = strlen(place);
    place[n] = '\n';
    return gy_file_write(path, gy_str_n(place, n + 1), 0644, err);
}

gy_status gy_home_id(const struct gy_home *h, char out[GY_UUID_TEXT], struct gy_err *err)
{
    char path[GY_MAX_PATH];
    unsigned char id[16];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_KIB);
    GY_TRY(gy_home_path(h, "id", path, err));
    if (!gy_path_exists(path)) {
        GY_TRY(gy_new_id(out, err));
        return gy_file_write(path, gy_str_c(out), 0644, err);
    }
    GY_TRY(gy_file_read(path, &text, err));
    if (gy_uuid_parse(gy_str_trim(gy_buf_str(&text)), id, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_CORRUPT, "%s does not hold the home's name", path);
    }
    gy_uuid_text(id, out);
    return GY_OK;
}
