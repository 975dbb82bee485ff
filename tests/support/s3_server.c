/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "s3_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int loopback(int port, bool do_connect, int *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int failed =
        do_connect ? connect(fd, (struct sockaddr *)&a, n) : bind(fd, (struct sockaddr *)&a, n);
    if (!failed && ret_port && getsockname(fd, (struct sockaddr *)&a, &n) == 0) {
        *ret_port = ntohs(a.sin_port);
    }
    close(fd);
    return failed;
}

static void run(const struct s3_server *s, const char *program, const char *log)
{
    char listen[32];
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", s->port);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing running */
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    setenv("ROOT_ACCESS_KEY", s->keys.access, 1);
    setenv("ROOT_SECRET_KEY", s->keys.secret, 1);
    execl(program, program, "--port", listen, "--keep-alive", "posix", s->folder, (char *)NULL);
    _exit(127);
}

bool s3_server_start(struct s3_server *s, const char *dir)
{
    char program[4096], path[256], log[256];
    const char *src = getenv("GYRE_SRC");
    *s = (struct s3_server){.keys = {.access = "gyre-test", .secret = "the/secret+of=tests"}};
    snprintf(program, sizeof program, "%s/.deps/s3/versitygw", src ? src : ".");
    if (access(program, X_OK) != 0) {
        return false;
    }
    snprintf(s->folder, sizeof s->folder, "%s/s3", dir);
    snprintf(path, sizeof path, "%s/bucket", s->folder);
    snprintf(log, sizeof log, "%s/s3.log", dir);
    assert_int_equal(mkdir(s->folder, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(loopback(0, false, &s->port), 0);
    snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%d", s->port);
    s->pid = fork();
    if (s->pid == 0) {
        run(s, program, log);
    }
    assert_true(s->pid > 0);
    for (int i = 0; i < 1500; i++) {
        if (loopback(s->port, true, NULL) == 0) {
            return true;
        }
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            break;
        }
        usleep(20000);
    }
    s3_server_stop(s);
    fail_msg("the S3 server did not come up (log: %s)", log);
    return false;
}

void s3_server_stop(struct s3_server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}
