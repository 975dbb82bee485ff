/* SPDX-License-Identifier: Apache-2.0 */
#include "postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct {
    bool asked, there;
    pid_t pid;
    FILE *to, *from;
} g_pg;

static void stop(void)
{
    fclose(g_pg.to); /* the end of its input ends it */
    (void)waitpid(g_pg.pid, NULL, 0);
    fclose(g_pg.from);
}

static void read_line(char *line, int size)
{
    assert_non_null(fgets(line, size, g_pg.from));
    line[strcspn(line, "\n")] = '\0';
}

static void start(void)
{
    char script[1024];
    int to[2], from[2];
    const char *src = getenv("GYRE_SRC");
    snprintf(script, sizeof script, "%s/tests/postgres.py", src ? src : ".");
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    char *argv[] = {(char[]){"python3"}, (char[]){"-B"}, script, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    posix_spawn_file_actions_addclose(&actions, to[1]);
    posix_spawn_file_actions_addclose(&actions, from[0]);
    assert_int_equal(posix_spawnp(&g_pg.pid, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    g_pg.to = fdopen(to[1], "w");
    g_pg.from = fdopen(from[0], "r");
    assert_true(g_pg.to && g_pg.from);
    atexit(stop);
}

bool postgres_there(void)
{
    if (!g_pg.asked) {
        char line[256];
        g_pg.asked = true;
        start();
        read_line(line, sizeof line);
        g_pg.there = strcmp(line, "ready") == 0;
        if (!g_pg.there) {
            fprintf(stderr, "%s\n", line);
        }
    }
    return g_pg.there;
}

static void ask(const char *request, char *answer, int size)
{
    assert_true(postgres_there());
    fprintf(g_pg.to, "%s\n", request);
    assert_int_equal(fflush(g_pg.to), 0);
    read_line(answer, size);
}

void postgres_url(char out[256])
{
    ask("url", out, 256);
}

void postgres_password_url(char out[256])
{
    ask("password-url", out, 256);
}

void postgres_down(void)
{
    char answer[16];
    ask("down", answer, sizeof answer);
}

void postgres_up(void)
{
    char answer[16];
    ask("up", answer, sizeof answer);
}

void postgres_skipped(void **state)
{
    (void)state;
    skip();
}
