/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data: files become dataset versions. What is computed (ingest, synth, schema) is computed
 * here, on local files; what is remembered goes through the routes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/cli_internal.h"
#include "cli/dataset_put.h"
#include "cli/model_input.h"
#include "data/ingest.h"
#include "data/jsonfields.h"
#include "data/synth.h"

#define BASE "/api/gyre/v1"
#define INFER_BYTES (4 * GY_MIB) /* of a file without schema.yaml that its types are told from */

/* ---- the schema of a file ---- */

static gy_status infer_schema(const char *path, enum gy_ingest_format format,
                              struct gy_schema **ret, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf head;
    gy_buf_init(&head, INFER_BYTES);
    gy_status status = GY_OK;
    bool whole = false;
    while (status == GY_OK && !whole && head.n < INFER_BYTES) {
        char *room = gy_buf_reserve(&head, INFER_BYTES - head.n);
        ssize_t n = room ? read(fd, room, INFER_BYTES - head.n) : 0;
        if (!room || (n < 0 && errno != EINTR)) {
            status = room ? gy_err_sys(err, errno, "reading '%s'", path)
                          : gy_buf_check(&head, "the file's head", err);
        } else if (n >= 0) {
            gy_buf_commit(&head, (size_t)n);
            whole = n == 0;
        }
    }
    (void)close(fd);
    GY_TRY(status);
    if (format == GY_INGEST_AUTO) {
        format = gy_ingest_format_of(path, gy_buf_str(&head));
    }
    status =
        format == GY_INGEST_CSV
            ? gy_schema_infer(gy_buf_str(&head), whole, ret, err)
            : gy_schema_infer_json(gy_buf_str(&head), format == GY_INGEST_JSONL, whole, ret, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", path);
}

/* --schema, else the project's schema.yaml, else (may_infer) told from the data. */
static gy_status find_schema(const struct gy_cli *cli, const char *given, const char *file,
                             bool may_infer, enum gy_ingest_format format, struct gy_schema **ret,
                             struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (given) {
        return gy_schema_read(given, ret, err);
    }
    struct gy_err lookup = GY_ERR_INIT;
    if (gy_schema_find(".", path, &lookup) == GY_OK) {
        gy_cli_note(cli, "schema: %s\n", path);
        return gy_schema_read(path, ret, err);
    }
    if (!may_infer) {
        (void)gy_err_set(err, lookup.code, "%s", lookup.msg);
        return gy_err_hint(err, "--schema FILE names one");
    }
    gy_cli_note(
        cli, "schema: none found; types are inferred from '%s', nothing is required or bounded\n",
        file);
    return infer_schema(file, format, ret, err);
}

/* ---- ingest ---- */

struct ingest_opts {
    const char *data_loc, *file_name, *output_path, *dlq, *log_level, *schema, *max_dead, *name,
        *environment, *delimiter, *format, *on_duplicate;
};

/* The input files: the arguments, or --file-name; in --data-loc unless absolute. */
static gy_status pick_files(struct gy_cli *cli, const struct ingest_opts *o,
                            const char *const **ret, size_t *ret_n, struct gy_err *err)
{
    if (cli->argc > 0 && o->file_name) {
        return gy_err_set(err, GY_E_USAGE, "the file is given twice: as FILE and by --file-name");
    }
    size_t n = o->file_name ? 1 : (size_t)cli->argc;
    if (n == 0) {
        (void)gy_err_set(err, GY_E_USAGE, "no file given");
        return gy_err_hint(err, "gyre data ingest FILE..., or --data-loc DIR --file-name FILE");
    }
    const char **files = gy_arena_calloc(&cli->arena, n, sizeof *files);
    for (size_t i = 0; files && i < n; i++) {
        char path[GY_MAX_PATH];
        files[i] = o->file_name ? o->file_name : cli->argv[i];
        if (o->data_loc && files[i][0] != '/') {
            GY_TRY(gy_path_join(path, sizeof path, o->data_loc, files[i], err));
            files[i] = gy_arena_strdup(&cli->arena, gy_str_c(path));
        }
        if (!files[i]) {
            files = NULL;
        } else if (strlen(files[i]) >= GY_MAX_PATH) {
            return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
        }
    }
    *ret = files;
    *ret_n = n;
    return files ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* "data/raw/patients.csv" names the dataset "patients". */
static struct gy_str name_of_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct gy_str name = gy_str_c(slash ? slash + 1 : path);
    size_t dot = gy_str_find(name, '.');
    return dot == SIZE_MAX || dot == 0 ? name : gy_str_sub(name, 0, dot);
}

static gy_status parse_delimiter(const char *text, char *ret, struct gy_err *err)
{
    *ret = 0;
    if (!text || strcmp(text, "auto") == 0) {
        return GY_OK;
    }
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0) {
        *ret = '\t';
    } else if (text[0] && !text[1]) {
        *ret = text[0];
    } else {
        return gy_err_set(err, GY_E_USAGE, "--delimiter takes , ; | tab or auto");
    }
    return GY_OK;
}

/* DEBUG, INFO, WARNING, ERROR, CRITICAL too, as other ingest tools spell levels. */
static gy_status set_log_level(const char *level, struct gy_err *err)
{
    static const char *const same[][2] = {{"DEBUG", "debug"},
                                          {"INFO", "info"},
                                          {"WARNING", "warn"},
                                          {"ERROR", "error"},
                                          {"CRITICAL", "error"}};
    if (!level) {
        return GY_OK;
    }
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        if (gy_str_ieq(gy_str_c(level), gy_str_c(same[i][0]))) {
            level = same[i][1];
        }
    }
    return gy_log_setup(gy_str_c(level), err);
}

static gy_status print_ingest_json(const struct gy_cli *cli, const struct gy_ingest_result *r,
                                   struct gy_str name, int64_t version, bool is_new,
                                   const char *dlq, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "read", r->read);
    gy_jw_kv_i64(&w, "accepted", r->accepted);
    gy_jw_kv_i64(&w, "dead", r->dead);
    gy_jw_kv_i64(&w, "replaced", r->replaced);
    gy_jw_kv_i64(&w, "unknown_keys", r->unknown_keys);
    gy_jw_kv_i64(&w, "unclosed", r->unclosed);
    gy_jw_kv_str(&w, "dataset", name);
    gy_jw_kv_i64(&w, "version", version);
    gy_jw_kv_bool(&w, "new", is_new);
    gy_jw_kv_strc(&w, "sha256", r->sha256);
    gy_jw_kv_strc(&w, "md5", r->md5);
    gy_jw_kv_strc(&w, "path", r->path);
    gy_jw_kv_i64(&w, "size", r->size_bytes);
    gy_jw_kv_strc(&w, "source_sha256", r->source_sha256);
    gy_jw_kv_i64(&w, "source_bytes", r->source_bytes);
    gy_jw_kv_strc(&w, "dlq", dlq);
    gy_jw_kv_f64(&w, "seconds", r->seconds);
    gy_jw_key(&w, "codes");
    gy_jw_obj(&w);
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (r->codes[code] > 0) {
            gy_jw_kv_i64(&w, gy_dead_name((enum gy_dead_code)code), r->codes[code]);
        }
    }
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static void say_ingest(const struct gy_cli *cli, const struct gy_ingest_result *r,
                       struct gy_str name, int64_t version, bool is_new, const char *dlq)
{
    gy_cli_say(cli, "%lld read, %lld accepted, %lld dead", (long long)r->read,
               (long long)r->accepted, (long long)r->dead);
    if (r->replaced > 0) {
        gy_cli_say(cli, ", %lld replaced", (long long)r->replaced);
    }
    gy_cli_say(cli, " in %.2f s\n", r->seconds);
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (r->codes[code] > 0) {
            gy_cli_say(cli, "  %-8s %lld\n", gy_dead_name((enum gy_dead_code)code),
                       (long long)r->codes[code]);
        }
    }
    if (r->dead > 0) {
        gy_cli_say(cli, "  why, record by record: gyre dlq list --dlq %s\n", dlq);
    }
    gy_cli_say(cli, "%s: dataset %" GY_STR_F "@%lld%s\n  sha256 %s\n  md5    %s\n", r->path,
               GY_STR_A(name), (long long)version, is_new ? "" : " (known already: same bytes)",
               r->sha256, r->md5);
}

static void show_progress(void *ctx, int64_t bytes)
{
    gy_progress_at(ctx, bytes);
}

static gy_status read_ingest_opts(const struct ingest_opts *o, struct gy_ingest_options *to,
                                  struct gy_err *err)
{
    GY_TRY(parse_delimiter(o->delimiter, &to->delimiter, err));
    GY_TRY(gy_ingest_parse_format(gy_str_c(o->format), &to->format, err));
    GY_TRY(gy_ingest_parse_on_duplicate(gy_str_c(o->on_duplicate), &to->on_duplicate, err));
    return o->max_dead ? gy_ingest_parse_max_dead(gy_str_c(o->max_dead), to, err) : GY_OK;
}

/* What a person should know besides the counts. */
static void note_ingest(const struct gy_cli *cli, const struct gy_ingest_result *r)
{
    if (r->unknown_keys > 0) {
        gy_cli_note(cli, "keys that the schema does not know were left out: %s\n", r->unknown);
    }
    if (r->unclosed > 0) {
        gy_cli_note(cli, "the JSON array never ends: the file may have been cut off\n");
    }
}

static gy_status run_ingest(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct ingest_opts *o = opts;
    const char *const *files = NULL;
    size_t n = 0;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_TRY(set_log_level(o->log_level, err));
    GY_TRY(pick_files(cli, o, &files, &n, err));
    struct gy_progress progress;
    struct gy_ingest_options options = {.path = files[0],
                                        .more = files + 1,
                                        .n_more = n - 1,
                                        .out_dir = o->output_path,
                                        .dlq = o->dlq,
                                        .environment = gy_str_c(o->environment),
                                        .max_dead = -1,
                                        .max_dead_share = -1,
                                        .progress = show_progress,
                                        .progress_ctx = &progress};
    GY_TRY(read_ingest_opts(o, &options, err));
    GY_TRY(find_schema(cli, o->schema, files[0], true, options.format, &schema, err));
    options.schema = schema;
    struct gy_ingest_result r;
    int64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += gy_file_size(files[i]);
    }
    gy_progress_start(&progress, cli, "ingest", bytes);
    gy_status status = gy_ingest(&options, &r, err);
    gy_progress_end(&progress);
    GY_TRY(status);
    note_ingest(cli, &r);
    struct gy_str name = o->name ? gy_str_c(o->name) : name_of_file(files[0]);
    int64_t version = 0;
    bool is_new = false;
    const struct gy_cli_dataset dataset = {.result = &r,
                                           .path = r.path,
                                           .name = name,
                                           .schema = schema,
                                           .source = gy_str_c(files[0]),
                                           .source_sha256 = r.source_sha256};
    GY_TRY(gy_cli_dataset_put(cli, &dataset, &version, &is_new, err));
    if (cli->json) {
        return print_ingest_json(cli, &r, name, version, is_new, o->dlq, err);
    }
    say_ingest(cli, &r, name, version, is_new, o->dlq);
    return GY_OK;
}

static const struct gy_opt ingest_opts[] = {
    {"data-loc", 0, GY_OPT_STR, offsetof(struct ingest_opts, data_loc), "DIR", NULL,
     "folder of the file"},
    {"file-name", 0, GY_OPT_STR, offsetof(struct ingest_opts, file_name), "FILE", NULL,
     "the file in it (or give FILE)"},
    {"output-path", 'o', GY_OPT_STR, offsetof(struct ingest_opts, output_path), "DIR", "data",
     "folder that gets data.csv"},
    {"dlq", 0, GY_OPT_STR, offsetof(struct ingest_opts, dlq), "FILE", "./dlq.log",
     "refused records are appended here"},
    {"schema", 0, GY_OPT_STR, offsetof(struct ingest_opts, schema), "FILE", NULL,
     "default: the project's schema.yaml, else inferred"},
    {"environment", 0, GY_OPT_STR, offsetof(struct ingest_opts, environment), "NAME", NULL,
     "columns with not_in: [NAME] may be absent"},
    {"max-dead", 0, GY_OPT_STR, offsetof(struct ingest_opts, max_dead), "N|P%", NULL,
     "fail when more records are dead"},
    {"name", 0, GY_OPT_STR, offsetof(struct ingest_opts, name), "DATASET", NULL,
     "default: the file's name"},
    {"delimiter", 0, GY_OPT_STR, offsetof(struct ingest_opts, delimiter), "CHAR", "auto",
     ", ; | tab or auto"},
    {"format", 0, GY_OPT_STR, offsetof(struct ingest_opts, format), "NAME", "auto",
     "csv, json (an array), jsonl (a line a record), or auto: by name and content"},
    {"on-duplicate", 0, GY_OPT_STR, offsetof(struct ingest_opts, on_duplicate), "WHAT", "dead",
     "of a unique column: dead, or keep the last or the first and count the others"},
    {"log-level", 0, GY_OPT_STR, offsetof(struct ingest_opts, log_level), "LEVEL", NULL,
     "debug, info, warning, error"},
};

/* ---- list, show, checkout ---- */

static gy_status fetch(struct gy_cli *cli, const char *path, struct gy_collect *answer,
                       yyjson_doc **ret, struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path, GY_STR_NULL, answer, err));
    return gy_json_parse(gy_buf_str(&answer->body), ret, err);
}

static struct gy_str number_cell(struct gy_cli *cli, yyjson_val *v, const char *key)
{
    return gy_str_c(gy_arena_printf(&cli->arena, "%lld", (long long)gy_json_i64(v, key, 0)));
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    static const char *const head[] = {"dataset", "version", "rows",   "dead",
                                       "bytes",   "sha256",  "created"};
    static const bool right[] = {false, true, true, true, true, false, false};
    enum { N = sizeof head / sizeof head[0] };
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(fetch(cli, BASE "/datasets", &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    yyjson_val *list = NULL;
    GY_TRY(gy_json_need_arr(yyjson_doc_get_root(doc), "datasets", &list, err));
    size_t n = yyjson_arr_size(list), i, max;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * N + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
    }
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        struct gy_str *row = cells + i * N;
        row[0] = gy_json_str(v, "name");
        row[1] = number_cell(cli, v, "version");
        row[2] = number_cell(cli, v, "rows");
        row[3] = number_cell(cli, v, "dead");
        row[4] = number_cell(cli, v, "size");
        row[5] = gy_str_sub(gy_json_str(v, "sha256"), 0, 12);
        row[6] = gy_str_sub(gy_json_str(v, "created"), 0, 19);
    }
    gy_cli_table(cli, head, N, cells, n, right);
    return GY_OK;
}

static void say_version(const struct gy_cli *cli, yyjson_val *v)
{
    static const char *const texts[] = {"sha256",        "md5",   "source",
                                        "source_sha256", "actor", "created"};
    static const char *const numbers[] = {"rows", "read", "accepted", "dead", "size"};
    gy_cli_say(cli, "%" GY_STR_F "@%lld\n", GY_STR_A(gy_json_str(v, "name")),
               (long long)gy_json_i64(v, "version", 0));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        gy_cli_say(cli, "  %-14s %lld\n", numbers[i], (long long)gy_json_i64(v, numbers[i], 0));
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct gy_str text = gy_json_str(v, texts[i]);
        gy_cli_say(cli, "  %-14s %" GY_STR_F "\n", texts[i], GY_STR_A(text.p ? text : GY_STR("-")));
    }
    yyjson_val *columns = gy_json_get(gy_json_get(v, "schema"), "columns"), *c;
    size_t i, max;
    yyjson_arr_foreach(columns, i, max, c)
    {
        gy_cli_say(cli, "  %s%-12" GY_STR_F " %" GY_STR_F "\n",
                   i ? "               " : "columns        ", GY_STR_A(gy_json_str(c, "name")),
                   GY_STR_A(gy_json_str(c, "type")));
    }
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 4 * GY_KIB);
    GY_TRY(gy_cli_dataset_path(cli->argv[0], &path, err));
    GY_TRY(fetch(cli, path.p, &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    say_version(cli, yyjson_doc_get_root(doc));
    return GY_OK;
}

/* A reply that writes the body into a file, digested, whatever its size. */
struct file_reply {
    struct gy_reply reply;
    int status;
    struct gy_file_writer *writer;
    struct gy_hash *sha256;
    struct gy_buf problem; /* the head of an error's body */
};

static gy_status file_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                            size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    ((struct file_reply *)(void *)self)->status = status;
    return GY_OK;
}

static gy_status file_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct file_reply *f = (struct file_reply *)(void *)self;
    if (f->status != 200) {
        gy_buf_add(&f->problem, bytes);
        return GY_OK;
    }
    gy_hash_add(f->sha256, bytes);
    return gy_file_writer_write(f->writer, bytes, err);
}

static gy_status file_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops FILE_OPS = {file_begin, file_write, file_end};

static gy_status download(struct gy_cli *cli, struct gy_str sha256, struct file_reply *f,
                          const char *to, struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    char path[128], digest[GY_SHA256_HEX];
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &f->sha256, err));
    GY_TRY(gy_file_writer_open(to, 0666, &f->writer, err));
    (void)snprintf(path, sizeof path, BASE "/objects/%" GY_STR_F, GY_STR_A(sha256));
    struct gy_request req = {.method = GY_STR("GET"),
                             .path = gy_str_c(path),
                             .peer = GY_PEER_LOCAL,
                             .arena = &cli->arena};
    GY_TRY(gy_call(caller, &req, &f->reply, err));
    if (f->status != 200) {
        return gy_err_set(err, GY_E_NOTFOUND, "the bytes %" GY_STR_F " can not be had: %d %s",
                          GY_STR_A(sha256), f->status, f->problem.p);
    }
    gy_hash_hex(f->sha256, digest);
    if (!gy_str_eqc(sha256, digest)) {
        return gy_err_set(err, GY_E_CORRUPT, "what arrived is %s, not %" GY_STR_F, digest,
                          GY_STR_A(sha256));
    }
    return gy_file_writer_commit(f->writer, NULL, err);
}

struct checkout_opts {
    const char *output;
};

static gy_status run_checkout(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct checkout_opts *o = opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 4 * GY_KIB);
    GY_TRY(gy_cli_dataset_path(cli->argv[0], &path, err));
    GY_TRY(fetch(cli, path.p, &answer, &doc, err));
    yyjson_val *v = yyjson_doc_get_root(doc);
    struct gy_str sha256 = gy_json_str(v, "sha256");
    GY_TRY(gy_dir_make_for(o->output, err));
    struct file_reply f = {.reply = {.ops = &FILE_OPS}};
    gy_buf_init(&f.problem, GY_MIB);
    gy_status status = download(cli, sha256, &f, o->output, err);
    gy_file_writer_free(f.writer);
    gy_hash_free(f.sha256);
    gy_buf_done(&f.problem);
    GY_TRY(status);
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    gy_cli_say(cli, "%s: %s, %lld rows\n", o->output, cli->argv[0],
               (long long)gy_json_i64(v, "rows", 0));
    return GY_OK;
}

static const struct gy_opt checkout_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct checkout_opts, output), "FILE", "data.csv",
     "the file to write"},
};

/* ---- schema ---- */

struct schema_opts {
    const char *schema, *output;
};

static gy_status run_schema(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct schema_opts *o = opts;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    if (strcmp(cli->argv[0], "infer") == 0) {
        if (cli->argc != 2) {
            return gy_err_set(err, GY_E_USAGE, "gyre data schema infer FILE");
        }
        GY_TRY(infer_schema(cli->argv[1], GY_INGEST_AUTO, &schema, err));
    } else if (strcmp(cli->argv[0], "show") == 0 && cli->argc == 1) {
        GY_TRY(find_schema(cli, o->schema, NULL, false, GY_INGEST_AUTO, &schema, err));
    } else {
        return gy_err_set(err, GY_E_USAGE, "gyre data schema infer FILE | show");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    if (cli->json) {
        gy_schema_json(schema, &out);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_schema_yaml(schema, &out);
    GY_TRY(gy_buf_check(&out, "the schema", err));
    if (o->output) {
        GY_TRY(gy_dir_make_for(o->output, err));
        GY_TRY(gy_file_write(o->output, gy_buf_str(&out), 0666, err));
        gy_cli_say(cli, "%s: %zu columns\n", o->output, schema->n_columns);
        return GY_OK;
    }
    gy_cli_say(cli, "%s", out.p);
    return GY_OK;
}

static const struct gy_opt schema_opts[] = {
    {"schema", 0, GY_OPT_STR, offsetof(struct schema_opts, schema), "FILE", NULL,
     "the schema to show"},
    {"output", 'o', GY_OPT_STR, offsetof(struct schema_opts, output), "FILE", NULL,
     "write it there instead"},
};

/* ---- synth ---- */

struct synth_opts {
    int64_t rows, seed, first_id, bad;
    double positive, mislabel;
    bool labelled, unlabelled, with_wbc;
    struct gy_opt_list drift;
    const char *output, *ledger, *schema, *environment, *population;
};

static gy_status print_synth(const struct gy_cli *cli, const struct synth_opts *o,
                             const struct gy_synth_result *r, struct gy_err *err)
{
    if (!cli->json) {
        gy_cli_say(cli, "%s: %lld records, %lld bad ones injected, %lld bytes\n", o->output,
                   (long long)(r->rows + r->bad), (long long)r->bad, (long long)r->bytes);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "path", o->output);
    gy_jw_kv_i64(&w, "rows", r->rows);
    gy_jw_kv_i64(&w, "positives", r->positives);
    gy_jw_kv_i64(&w, "bad", r->bad);
    gy_jw_kv_i64(&w, "bytes", r->bytes);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status synth_patients(const struct synth_opts *o, struct gy_synth_result *r,
                                struct gy_err *err)
{
    struct gy_synth_drift drifts[GY_SYNTH_MAX_DRIFTS];
    if (o->drift.n > GY_SYNTH_MAX_DRIFTS) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --drift", GY_SYNTH_MAX_DRIFTS);
    }
    for (size_t i = 0; i < o->drift.n; i++) {
        GY_TRY(gy_synth_parse_drift(gy_str_c(o->drift.items[i]), &drifts[i], err));
    }
    if (o->labelled && o->unlabelled) {
        return gy_err_set(err, GY_E_USAGE, "--labelled and --unlabelled exclude each other");
    }
    struct gy_synth_options make = {.rows = o->rows,
                                    .seed = (uint64_t)o->seed,
                                    .positive = o->positive,
                                    .mislabel = o->mislabel,
                                    .first_id = o->first_id,
                                    .labelled = !o->unlabelled,
                                    .wbc = o->with_wbc,
                                    .drifts = drifts,
                                    .n_drifts = o->drift.n,
                                    .bad = o->bad,
                                    .out = o->output,
                                    .ledger = o->ledger};
    GY_TRY(gy_synth_parse_population(gy_str_c(o->population), &make.population, err));
    return gy_synth_patients(&make, r, err);
}

static gy_status synth_corrupt(struct gy_cli *cli, const struct synth_opts *o,
                               struct gy_synth_result *r, struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_TRY(find_schema(cli, o->schema, cli->argv[1], true, GY_INGEST_CSV, &schema, err));
    struct gy_corrupt_options make = {.in = cli->argv[1],
                                      .out = o->output,
                                      .ledger = o->ledger,
                                      .schema = schema,
                                      .environment = gy_str_c(o->environment),
                                      .bad = o->bad,
                                      .seed = (uint64_t)o->seed};
    return gy_synth_corrupt(&make, r, err);
}

static gy_status run_synth(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct synth_opts *o = opts;
    struct gy_synth_result r = {0};
    if (!o->output) {
        return gy_err_set(err, GY_E_USAGE, "-o FILE is wanted");
    }
    GY_TRY(gy_dir_make_for(o->output, err));
    if (o->ledger) {
        GY_TRY(gy_dir_make_for(o->ledger, err));
    }
    if (strcmp(cli->argv[0], "patients") == 0 && cli->argc == 1) {
        GY_TRY(synth_patients(o, &r, err));
    } else if (strcmp(cli->argv[0], "corrupt") == 0 && cli->argc == 2) {
        GY_TRY(synth_corrupt(cli, o, &r, err));
    } else {
        return gy_err_set(err, GY_E_USAGE, "gyre data synth patients | corrupt FILE");
    }
    return print_synth(cli, o, &r, err);
}

static const struct gy_opt synth_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct synth_opts, output), "FILE", NULL,
     "the CSV file to write"},
    {"rows", 'n', GY_OPT_INT, offsetof(struct synth_opts, rows), "N", "1000", "good records"},
    {"seed", 0, GY_OPT_INT, offsetof(struct synth_opts, seed), "N", "1", "same seed, same bytes"},
    {"positive", 0, GY_OPT_NUM, offsetof(struct synth_opts, positive), "SHARE", "0.0729",
     "share of septic patients"},
    {"mislabel", 0, GY_OPT_NUM, offsetof(struct synth_opts, mislabel), "SHARE", "0",
     "share of septic patients that are labelled 0: poison for a training"},
    {"first-id", 0, GY_OPT_INT, offsetof(struct synth_opts, first_id), "N", "1",
     "the first patient_id"},
    {"population", 0, GY_OPT_STR, offsetof(struct synth_opts, population), "NAME", "adults",
     "adults, or elderly (made up: blunted fever, calm hearts, WBC decides more often)"},
    {"labelled", 0, GY_OPT_FLAG, offsetof(struct synth_opts, labelled), NULL, NULL,
     "with isSepsis (the default)"},
    {"unlabelled", 0, GY_OPT_FLAG, offsetof(struct synth_opts, unlabelled), NULL, NULL,
     "without isSepsis"},
    {"with-wbc", 0, GY_OPT_FLAG, offsetof(struct synth_opts, with_wbc), NULL, NULL,
     "with the white blood count"},
    {"drift", 0, GY_OPT_LIST, offsetof(struct synth_opts, drift), "COLUMN=+X", NULL,
     "shift (or *X: scale) a column after the label is settled; may be repeated"},
    {"bad", 0, GY_OPT_INT, offsetof(struct synth_opts, bad), "K", "0",
     "bad records to inject, 8 kinds in turn"},
    {"bad-ledger", 0, GY_OPT_STR, offsetof(struct synth_opts, ledger), "FILE", NULL,
     "tell what was injected, a JSON line each"},
    {"schema", 0, GY_OPT_STR, offsetof(struct synth_opts, schema), "FILE", NULL,
     "corrupt: the schema that the bad records break"},
    {"environment", 0, GY_OPT_STR, offsetof(struct synth_opts, environment), "NAME", NULL,
     "corrupt: columns with not_in: [NAME] may be absent"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "ingest",
     .args = "[FILE...]",
     .max_args = -1,
     .summary = "check files of records, keep the good ones as a dataset version",
     .details =
         "Records that break the schema are appended to the log of dead letters, with every\n"
         "reason; accepted + dead = read, always. DIR/data.csv is canonical: the same\n"
         "records give the same bytes, from CSV, JSON arrays or JSONL, one file or several.\n"
         "JSON keys that the schema does not know are left out and counted. Dead records alone\n"
         "do not fail the command, unless --max-dead is passed.",
     .examples = "  gyre data ingest patients.csv --schema schema.yaml\n"
                 "  gyre data ingest march.csv april.jsonl --on-duplicate last\n"
                 "  gyre data ingest --data-loc raw --file-name patients.csv --output-path data "
                 "--dlq dlq.log",
     .opts = ingest_opts,
     .n_opts = sizeof ingest_opts / sizeof ingest_opts[0],
     .opts_bytes = sizeof(struct ingest_opts),
     .run = run_ingest},
    {.noun = "data",
     .verb = "list",
     .summary = "all dataset versions",
     .examples = "  gyre data list",
     .run = run_list},
    {.noun = "data",
     .verb = "show",
     .args = "NAME[@VERSION]",
     .min_args = 1,
     .max_args = 1,
     .summary = "one dataset version: counts, digests, columns",
     .examples = "  gyre data show sepsis@1",
     .run = run_show},
    {.noun = "data",
     .verb = "checkout",
     .args = "NAME[@VERSION]",
     .min_args = 1,
     .max_args = 1,
     .summary = "write the bytes of a dataset version to a file",
     .examples = "  gyre data checkout sepsis@1 -o data.csv",
     .opts = checkout_opts,
     .n_opts = sizeof checkout_opts / sizeof checkout_opts[0],
     .opts_bytes = sizeof(struct checkout_opts),
     .run = run_checkout},
    {.noun = "data",
     .verb = "schema",
     .args = "infer FILE | show",
     .min_args = 1,
     .max_args = 2,
     .summary = "make a schema.yaml from a file, or show the project's",
     .examples = "  gyre data schema infer patients.csv -o schema.yaml",
     .opts = schema_opts,
     .n_opts = sizeof schema_opts / sizeof schema_opts[0],
     .opts_bytes = sizeof(struct schema_opts),
     .run = run_schema},
    {.noun = "data",
     .verb = "synth",
     .args = "patients | corrupt FILE",
     .min_args = 1,
     .max_args = 2,
     .summary = "make patients' vitals, or put bad records into a file",
     .examples =
         "  gyre data synth patients --rows 5000 --seed 7 --bad 80 --bad-ledger bad.jsonl -o "
         "patients.csv\n"
         "  gyre data synth patients --drift Temp=+1.0 -o warm.csv\n"
         "  gyre data synth patients --population elderly --seed 9 -o ward.csv\n"
         "  gyre data synth corrupt patients.csv --bad 16 -o spoilt.csv --schema "
         "schema.yaml",
     .opts = synth_opts,
     .n_opts = sizeof synth_opts / sizeof synth_opts[0],
     .opts_bytes = sizeof(struct synth_opts),
     .run = run_synth},
};

const struct gy_verb_table gy_cmd_data = GY_VERB_TABLE(verbs);
