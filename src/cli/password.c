/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/password.h"

#include <errno.h>
#include <sodium.h>
#include <termios.h>
#include <unistd.h>

#include "store/users.h"

#define LINE_BYTES (GY_USER_MAX_PASSWORD + 2)

/* One line without its end. */
static gy_status read_line(FILE *in, char line[LINE_BYTES], struct gy_err *err)
{
    if (!fgets(line, LINE_BYTES, in)) {
        return ferror(in) ? gy_err_sys(err, errno, "reading the password")
                          : gy_err_set(err, GY_E_USAGE, "there is no password to read");
    }
    size_t n = strlen(line);
    if (n + 1 == LINE_BYTES && line[n - 1] != '\n') {
        return gy_err_set(err, GY_E_INVALID, "the password is longer than %d bytes",
                          GY_USER_MAX_PASSWORD);
    }
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) {
        line[--n] = '\0';
    }
    return GY_OK;
}

static gy_status ask(const char *prompt, char line[LINE_BYTES], struct gy_err *err)
{
    struct termios shown, hidden;
    if (tcgetattr(STDIN_FILENO, &shown) != 0) {
        (void)gy_err_set(err, GY_E_USAGE, "there is no terminal to ask for the password");
        return gy_err_hint(err, "give it on standard input: --password-stdin");
    }
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    (void)fputs(prompt, stderr);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    gy_status status = read_line(stdin, line, err);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    (void)fputc('\n', stderr);
    return status;
}

static gy_status ask_twice(char line[LINE_BYTES], struct gy_err *err)
{
    char again[LINE_BYTES] = {0};
    GY_TRY(ask("password: ", line, err));
    gy_status status = ask("again: ", again, err);
    if (status == GY_OK && strcmp(line, again) != 0) {
        status = gy_err_set(err, GY_E_INVALID, "the two passwords differ");
    }
    sodium_memzero(again, sizeof again);
    return status;
}

gy_status gy_cli_password(struct gy_cli *cli, bool from_stdin, struct gy_secret *ret,
                          struct gy_err *err)
{
    char line[LINE_BYTES] = {0};
    gy_status status = from_stdin ? read_line(stdin, line, err) : ask_twice(line, err);
    if (status == GY_OK) {
        *ret = gy_secret_of(gy_arena_str(&cli->arena, gy_str_c(line)));
        if (!gy_secret_reveal(*ret).p) {
            status = gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
    }
    sodium_memzero(line, sizeof line);
    return status;
}
