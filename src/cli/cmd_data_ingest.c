/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data ingest: files of records become a dataset version. Computed here, on local files; what
 * is remembered goes through the routes. */
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/pipeline.h"
#include "cli/dataset_put.h"
#include "cli/dataset_get.h"
#include "cli/schema_of.h"
#include "cli/source_from.h"
#include "data/source_pg.h"

struct ingest_opts {
    const char *data_loc, *file_name, *output_path, *dlq, *log_level, *schema, *max_dead, *name,
        *environment, *delimiter, *format, *on_duplicate;
    int64_t threads;
    struct gy_cli_from from;
};

/* The sources: the arguments, or --file-name; in --data-loc unless absolute. */
static gy_status pick_sources(struct gy_cli *cli, const struct ingest_opts *o,
                              struct gy_cli_origin *origin, struct gy_source_list *ret,
                              struct gy_err *err)
{
    char output[GY_MAX_PATH];
    if (o->from.url && (cli->argc > 0 || o->file_name)) {
        return gy_err_set(err, GY_E_USAGE, "a source is given twice: as a file and by --from");
    }
    if ((o->from.url || o->from.append.append) && !o->name) {
        (void)gy_err_set(err, GY_E_USAGE, "%s needs a name for the dataset",
                         o->from.url ? "--from" : "--append");
        return gy_err_hint(err, "--name DATASET");
    }
    if (o->from.append.append && o->delimiter && strcmp(o->delimiter, "auto") != 0) {
        return gy_err_set(err, GY_E_USAGE,
                          "--delimiter does not go with --append: it is told from "
                          "each file");
    }
    if (o->from.url || o->from.query || o->from.append.watermark) {
        return gy_cli_source_from(cli, &o->from, origin, ret, err);
    }
    if (cli->argc > 0 && o->file_name) {
        return gy_err_set(err, GY_E_USAGE, "the file is given twice: as FILE and by --file-name");
    }
    size_t n = o->file_name ? 1 : (size_t)cli->argc;
    if (n == 0) {
        (void)gy_err_set(err, GY_E_USAGE, "no file given");
        return gy_err_hint(err, "gyre data ingest FILE..., or --data-loc DIR --file-name FILE");
    }
    GY_TRY(gy_path_join(output, sizeof output, o->output_path, "data.csv", err));
    for (size_t i = 0; i < n; i++) {
        char path[GY_MAX_PATH];
        const char *name = o->file_name ? o->file_name : cli->argv[i];
        if (strlen(name) >= GY_MAX_PATH) {
            return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
        }
        if (o->data_loc && name[0] != '/' && strcmp(name, "-") != 0) {
            GY_TRY(gy_path_join(path, sizeof path, o->data_loc, name, err));
            name = path;
        }
        GY_TRY(gy_source_list_add_path(ret, name, output, err));
    }
    return o->from.append.append ? gy_cli_source_append_files(cli, &o->from, origin, ret, err)
                                 : GY_OK;
}

/* "data/raw/patients.csv" names the dataset "patients". */
static struct gy_str name_of_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct gy_str name = gy_str_c(slash ? slash + 1 : path);
    size_t dot = gy_str_find(name, '.');
    return dot == SIZE_MAX || dot == 0 ? name : gy_str_sub(name, 0, dot);
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

/* What was appended, when that was asked for. */
static void json_append(struct gy_jw *w, const struct gy_cli_origin *origin,
                        const struct gy_ingest_result *r)
{
    if (!origin->append.on) {
        return;
    }
    gy_jw_kv_i64(w, "appended", r->accepted - origin->append.base_rows);
    gy_jw_kv_i64(w, "base_version", origin->append.base);
    gy_jw_kv_i64(w, "objects", (int64_t)origin->append.n_now);
    gy_jw_kv_str(w, "watermark",
                 origin->query ? gy_source_pg_watermark(origin->query) : GY_STR_NULL);
}

static gy_status print_ingest_json(const struct gy_cli *cli, const struct gy_ingest_result *r,
                                   const struct gy_cli_origin *origin, struct gy_str name,
                                   int64_t version, bool is_new, const char *dlq,
                                   struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_ingest_report(&w, r);
    gy_jw_kv_str(&w, "dataset", name);
    gy_jw_kv_i64(&w, "version", version);
    gy_jw_kv_bool(&w, "new", is_new);
    gy_jw_kv_strc(&w, "path", r->path);
    json_append(&w, origin, r);
    gy_jw_kv_strc(&w, "dlq", dlq);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static void say_ingest(const struct gy_cli *cli, const struct gy_ingest_result *r,
                       const struct gy_cli_append *append, struct gy_str name, int64_t version,
                       bool is_new, const char *dlq)
{
    const int64_t before = append->on ? append->base_rows : 0;
    gy_cli_say(cli, "%lld read, %lld accepted, %lld dead", (long long)(r->read - before),
               (long long)(r->accepted - before), (long long)r->dead);
    if (r->replaced > 0) {
        gy_cli_say(cli, ", %lld replaced", (long long)r->replaced);
    }
    gy_cli_say(cli, " in %.2f s\n", r->seconds);
    if (append->on && append->base) {
        gy_cli_say(cli, "appended to the %lld rows of version %lld\n", (long long)before,
                   (long long)append->base);
    }
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

static gy_status read_ingest_opts(const struct ingest_opts *o, const struct gy_source_list *sources,
                                  struct gy_ingest_options *to, struct gy_err *err)
{
    enum gy_ingest_format format = GY_INGEST_AUTO;
    if (o->threads < 0 || o->threads > GY_PIPELINE_MAX_THREADS) {
        return gy_err_set(err, GY_E_USAGE, "--threads takes 1 to %d", GY_PIPELINE_MAX_THREADS);
    }
    GY_TRY(gy_cli_delimiter(o->delimiter, &to->delimiter, err));
    GY_TRY(gy_ingest_parse_format(gy_str_c(o->format), &format, err));
    for (size_t i = 0; i < sources->n; i++) { /* of some it is known */
        struct gy_source *s = sources->items[i];
        s->format = s->format == GY_INGEST_AUTO ? format : s->format;
    }
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

/* Images are looked for in a folder: a source that has none must be told one. Those of rows that
 * were accepted before are not looked at again. */
static gy_status place_images(const struct gy_schema *schema, const char *folder,
                              const struct gy_source_list *sources, size_t first,
                              struct gy_err *err)
{
    const struct gy_column *image = NULL;
    for (size_t i = 0; i < schema->n_columns; i++) {
        image = schema->columns[i].type == GY_TYPE_IMAGE ? &schema->columns[i] : image;
    }
    for (size_t i = first; image && i < sources->n; i++) {
        if (!sources->items[i]->folder && folder) {
            sources->items[i]->folder = folder;
        } else if (!sources->items[i]->folder) {
            (void)gy_err_set(err, GY_E_USAGE, "where are the images of column '%s'?",
                             image->name.p);
            return gy_err_hint(err, "--data-loc DIR says which folder their paths begin in");
        }
    }
    return GY_OK;
}

/* With rows that are appended to, their schema, unless another one is named. */
static gy_status find_schema(const struct gy_cli *cli, const char *given,
                             const struct gy_cli_append *append, struct gy_source *source,
                             struct gy_schema **ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    const bool of_base = append->on && append->base > 0;
    if (of_base && !given && gy_schema_find(".", path, NULL) != GY_OK) {
        return gy_cli_append_schema(append, ret, err);
    }
    GY_TRY(gy_cli_schema_find_source(cli, given, source, ret, err));
    return of_base ? gy_cli_append_check_schema(append, *ret, err) : GY_OK;
}

/* The newest version is what there is; data.csv is it, too. */
static gy_status nothing_new(struct gy_cli *cli, const struct ingest_opts *o,
                             const struct gy_cli_append *append, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    char path[GY_MAX_PATH];
    const char *ref = gy_arena_printf(&cli->arena, "%" GY_STR_F "@%lld", GY_STR_A(append->name),
                                      (long long)append->base);
    GY_TRY(gy_path_join(path, sizeof path, o->output_path, "data.csv", err));
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_dataset_get(cli, ref, path, &answer, err));
    if (!cli->json) {
        gy_cli_say(cli, "nothing new: %s is %s, %lld rows\n", path, ref,
                   (long long)append->base_rows);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "read", 0);
    gy_jw_kv_i64(&w, "accepted", 0);
    gy_jw_kv_i64(&w, "dead", 0);
    gy_jw_kv_str(&w, "dataset", append->name);
    gy_jw_kv_i64(&w, "version", append->base);
    gy_jw_kv_bool(&w, "new", false);
    gy_jw_kv_str(&w, "sha256", append->base_sha256);
    gy_jw_kv_strc(&w, "path", path);
    gy_jw_kv_i64(&w, "appended", 0);
    gy_jw_kv_i64(&w, "base_version", append->base);
    gy_jw_kv_str(&w, "watermark", append->from_watermark);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* The options that say where records come from, brought together. */
static struct ingest_opts complete(const struct ingest_opts *o, enum gy_on_duplicate on_duplicate)
{
    struct ingest_opts all = *o;
    struct gy_cli_append_options *append = &all.from.append;
    append->append |= append->restart || append->new_source || append->watermark;
    all.from.equal_too = on_duplicate != GY_DUPLICATE_DEAD;
    all.from.name = gy_str_c(o->name);
    all.from.output = o->output_path;
    return all;
}

static gy_status run_ingest(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct ingest_opts all;
    const struct ingest_opts *o = &all;
    enum gy_on_duplicate on_duplicate = GY_DUPLICATE_DEAD;
    GY_AUTO_DONE(gy_cli_origin_done) struct gy_cli_origin origin = {0};
    GY_AUTO_DONE(gy_source_list_done) struct gy_source_list sources = {0};
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_TRY(gy_ingest_parse_on_duplicate(gy_str_c(((struct ingest_opts *)opts)->on_duplicate),
                                        &on_duplicate, err));
    all = complete(opts, on_duplicate);
    GY_TRY(set_log_level(o->log_level, err));
    GY_TRY(pick_sources(cli, o, &origin, &sources, err));
    struct gy_progress progress;
    struct gy_ingest_options options = {.sources = sources.items,
                                        .n_sources = sources.n,
                                        .out_dir = o->output_path,
                                        .on_duplicate = on_duplicate,
                                        .dlq = o->dlq,
                                        .environment = gy_str_c(o->environment),
                                        .threads = (int)o->threads,
                                        .max_dead = -1,
                                        .max_dead_share = -1,
                                        .progress = show_progress,
                                        .progress_ctx = &progress};
    GY_TRY(read_ingest_opts(o, &sources, &options, err));
    bool is_new = true;
    GY_TRY(gy_cli_source_is_new(&origin, &sources, &is_new, err));
    if (!is_new) {
        return nothing_new(cli, o, &origin.append, err);
    }
    const size_t first = origin.append.on && origin.append.base ? 1 : 0;
    if (sources.n <= first) { /* each way of picking them fails before */
        return gy_err_set(err, GY_E_NOTFOUND, "there is nothing to read");
    }
    struct gy_source *source = sources.items[first];
    GY_TRY(find_schema(cli, o->schema, &origin.append, source, &schema, err));
    GY_TRY(place_images(schema, o->data_loc, &sources, first, err));
    options.schema = schema;
    options.accepted_before = origin.append.on ? origin.append.base_rows : 0;
    struct gy_ingest_result r;
    int64_t bytes = 0;
    for (size_t i = 0; i < sources.n; i++) {
        int64_t size = sources.items[i]->size_bytes;
        bytes = size < 0 || bytes < 0 ? -1 : bytes + size;
    }
    gy_progress_start(&progress, cli, "ingest", bytes);
    gy_status status = gy_ingest(&options, &r, err);
    gy_progress_end(&progress);
    GY_TRY(status);
    note_ingest(cli, &r);
    struct gy_str name = o->name ? gy_str_c(o->name) : name_of_file(source->name);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf taken;
    gy_buf_init(&taken, GY_MAX_JSON_BODY);
    GY_TRY(gy_cli_source_taken(&origin, &taken, err));
    int64_t version = 0;
    const struct gy_cli_dataset dataset = {
        .result = &r,
        .path = r.path,
        .name = name,
        .schema = schema,
        .source = gy_str_c(source->name),
        .source_sha256 = first ? NULL : r.source_sha256, /* else of rows that it has not */
        .taken = taken.n ? gy_buf_str(&taken) : GY_STR_NULL};
    GY_TRY(gy_cli_dataset_put(cli, &dataset, &version, &is_new, err));
    if (cli->json) {
        return print_ingest_json(cli, &r, &origin, name, version, is_new, o->dlq, err);
    }
    say_ingest(cli, &r, &origin.append, name, version, is_new, o->dlq);
    return GY_OK;
}

static const struct gy_opt ingest_opts[] = {
    {"from", 0, GY_OPT_STR, offsetof(struct ingest_opts, from.url), "URL", NULL,
     "postgresql://USER@HOST/DB with --query, or s3://BUCKET/PREFIX/, instead of files"},
    {"query", 0, GY_OPT_STR, offsetof(struct ingest_opts, from.query), "SQL", NULL,
     "one SELECT; its rows are the records"},
    {"append", 0, GY_OPT_FLAG, offsetof(struct ingest_opts, from.append.append), NULL, NULL,
     "append what is new in the source to the newest version, each row once"},
    {"watermark", 0, GY_OPT_STR, offsetof(struct ingest_opts, from.append.watermark), "COLUMN",
     NULL, "--append of a query: rows whose COLUMN is above the last one are new"},
    {"restart", 0, GY_OPT_FLAG, offsetof(struct ingest_opts, from.append.restart), NULL, NULL,
     "--append from the start: all of the source, and nothing else"},
    {"new-source", 0, GY_OPT_FLAG, offsetof(struct ingest_opts, from.append.new_source), NULL, NULL,
     "--append from one more source"},
    {"data-loc", 0, GY_OPT_STR, offsetof(struct ingest_opts, data_loc), "DIR", NULL,
     "folder of the file; of its images when they come from elsewhere"},
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
    {"threads", 0, GY_OPT_INT, offsetof(struct ingest_opts, threads), "N", NULL,
     "check records on so many threads; default: one a processor"},
    {"log-level", 0, GY_OPT_STR, offsetof(struct ingest_opts, log_level), "LEVEL", NULL,
     "debug, info, warning, error"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "ingest",
     .args = "[FILE|DIR|-...]",
     .max_args = -1,
     .summary = "check files of records, keep the good ones as a dataset version",
     .details =
         "Records that break the schema are appended to the log of dead letters, with every\n"
         "reason; accepted + dead = read, always. DIR/data.csv is canonical: the same\n"
         "records give the same bytes, from CSV, JSON arrays or JSONL, one file or several.\n"
         "A folder means the data files in it, sorted; - is standard input; gzip and zstd are\n"
         "unpacked, whatever the name.\n"
         "JSON keys that the schema does not know are left out and counted. Dead records alone\n"
         "do not fail the command, unless --max-dead is passed.",
     .examples = "  gyre data ingest patients.csv --schema schema.yaml\n"
                 "  gyre data ingest raw/ --name patients\n"
                 "  gyre data ingest march.csv april.jsonl --on-duplicate last\n"
                 "  gyre data ingest --data-loc raw --file-name patients.csv --output-path data "
                 "--dlq dlq.log",
     .opts = ingest_opts,
     .n_opts = sizeof ingest_opts / sizeof ingest_opts[0],
     .opts_bytes = sizeof(struct ingest_opts),
     .run = run_ingest},
};

const struct gy_verb_table gy_cmd_data_ingest = GY_VERB_TABLE(verbs);
