/* SPDX-License-Identifier: Apache-2.0 */
#include "data/synth.h"

#include <math.h>
#include <stdio.h>

#include "base/id.h"
#include "base/mem.h"
#include "data/corrupt.h"

const char GY_SYNTH_PATIENTS_SCHEMA[] =
    "columns:\n"
    "  - {name: patient_id, type: int, min: 0, required: true, unique: true, role: id}\n"
    "  - {name: record_date, type: time}\n"
    "  - {name: record_time, type: string}\n"
    "  - {name: HR, type: int, unit: bpm, min: 20, max: 300, required: true}\n"
    "  - {name: O2Sat, type: float, unit: '%', min: 0, max: 100}\n"
    "  - {name: Temp, type: float, unit: '°C', min: 25, max: 45, required: true}\n"
    "  - {name: SBP, type: float, unit: mmHg, min: 0, max: 350}\n"
    "  - {name: MAP, type: float, unit: mmHg, min: 0, max: 350}\n"
    "  - {name: DBP, type: float, unit: mmHg, min: 0, max: 350}\n"
    "  - {name: Resp, type: int, unit: breaths/min, min: 3, max: 80, required: true}\n"
    "  - {name: EtCO2, type: float, unit: mmHg, min: 0, max: 150}\n"
    "  - {name: WBC, type: float, unit: 10^3/uL, min: 0, max: 500}\n"
    "  - {name: isSepsis, type: int, values: [0, 1], required: true, role: label,\n"
    "     not_in: [SERVING]}\n"
    "missing: ['', NaN]\n";

enum band { LOW, NORMAL, HIGH };

/* How often each combination of Temp, HR and Resp comes in the real file, by label (its 10 septic
 * patients without a marker and 37 borderline ones are left to WBC). What WBC is follows. */
struct combination {
    enum band temp, hr, resp;
    int weight;
};
static const struct combination SEPTIC[] = {
    {HIGH, NORMAL, HIGH, 514}, {NORMAL, HIGH, HIGH, 514},   {HIGH, HIGH, HIGH, 507},
    {LOW, NORMAL, HIGH, 493},  {NORMAL, NORMAL, HIGH, 371}, {LOW, HIGH, HIGH, 164},
    {HIGH, HIGH, NORMAL, 24},  {HIGH, NORMAL, NORMAL, 18},  {NORMAL, HIGH, NORMAL, 18},
    {LOW, NORMAL, NORMAL, 18}, {LOW, HIGH, NORMAL, 6},
};
static const struct combination HEALTHY[] = {
    {NORMAL, NORMAL, NORMAL, 25613}, {NORMAL, NORMAL, HIGH, 3535}, {HIGH, NORMAL, NORMAL, 2725},
    {NORMAL, HIGH, NORMAL, 903},     {LOW, NORMAL, NORMAL, 879},
};
/* The made-up elderly: one marker that these vitals show and WBC beside it (65 %). */
static const struct combination ELDERLY_SEPTIC[] = {
    {NORMAL, NORMAL, HIGH, 450}, {LOW, NORMAL, NORMAL, 180}, {HIGH, NORMAL, NORMAL, 10},
    {NORMAL, HIGH, NORMAL, 10},  {LOW, NORMAL, HIGH, 200},   {NORMAL, HIGH, HIGH, 55},
    {HIGH, NORMAL, HIGH, 55},    {LOW, HIGH, HIGH, 15},      {HIGH, HIGH, HIGH, 15},
    {LOW, HIGH, NORMAL, 5},      {HIGH, HIGH, NORMAL, 5},
};
static const struct combination ELDERLY_HEALTHY[] = {
    {NORMAL, NORMAL, NORMAL, 9830}, {NORMAL, NORMAL, HIGH, 110}, {LOW, NORMAL, NORMAL, 40},
    {HIGH, NORMAL, NORMAL, 10},     {NORMAL, HIGH, NORMAL, 10},
};
#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

struct mix {
    const struct combination *septic, *healthy;
    size_t n_septic, n_healthy;
};
static const struct mix MIXES[] = {
    [GY_ADULTS] = {SEPTIC, HEALTHY, N_OF(SEPTIC), N_OF(HEALTHY)},
    [GY_ELDERLY] = {ELDERLY_SEPTIC, ELDERLY_HEALTHY, N_OF(ELDERLY_SEPTIC), N_OF(ELDERLY_HEALTHY)},
};
static const char *const POPULATIONS[] = {[GY_ADULTS] = "adults", [GY_ELDERLY] = "elderly"};

/* The columns in the order of the real file. */
enum column {
    C_ID,
    C_DATE,
    C_TIME,
    C_HR,
    C_O2SAT,
    C_TEMP,
    C_SBP,
    C_MAP,
    C_DBP,
    C_RESP,
    C_ETCO2,
    C_WBC,
    C_LABEL,
    N_COLUMNS
};
static const char *const NAMES[N_COLUMNS] = {
    "patient_id", "record_date", "record_time", "HR",    "O2Sat", "Temp",    "SBP",
    "MAP",        "DBP",         "Resp",        "EtCO2", "WBC",   "isSepsis"};
static const bool IS_INT[N_COLUMNS] = {
    [C_ID] = true, [C_HR] = true, [C_RESP] = true, [C_LABEL] = true};

struct patient {
    double value[N_COLUMNS]; /* NaN: not measured */
    int decimals[N_COLUMNS];
};

struct generator {
    const struct gy_synth_options *o;
    double add[N_COLUMNS], times[N_COLUMNS];
    bool drifts[N_COLUMNS];
    struct gy_rng rng;
    struct gy_buf line;
};

gy_status gy_synth_parse_drift(struct gy_str text, struct gy_synth_drift *ret, struct gy_err *err)
{
    struct gy_str name, amount;
    if (gy_str_cut(text, '=', &name, &amount) && name.n > 0 && amount.n > 1) {
        ret->column = name;
        ret->multiply = amount.p[0] == '*';
        /* Parsers of numbers refuse a plus sign. */
        bool skip = ret->multiply || amount.p[0] == '+';
        if (gy_parse_f64(gy_str_sub(amount, skip ? 1 : 0, SIZE_MAX), &ret->amount, NULL) == GY_OK &&
            (skip || amount.p[0] == '-')) {
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not a drift", GY_STR_A(text));
    (void)gy_err_hint(err, "COLUMN=+1.0, COLUMN=-1.0 or COLUMN=*1.1");
    return GY_E_INVALID;
}

gy_status gy_synth_parse_population(struct gy_str text, enum gy_population *ret, struct gy_err *err)
{
    for (size_t i = 0; i < N_OF(POPULATIONS); i++) {
        if (gy_str_eqc(text, POPULATIONS[i])) {
            *ret = (enum gy_population)i;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not a population", GY_STR_A(text));
    return gy_err_hint(err, "adults or elderly");
}

static double between(struct gy_rng *r, int low, int high)
{
    return low + (double)gy_rng_below(r, (uint64_t)(high - low) + 1);
}

/* In tenths, as most thermometers show it; one value in 20 has hundredths, as in the real file. */
static double temperature(struct gy_rng *r, enum band band, int *ret_decimals)
{
    static const int low[] = {350, 360, 384}, high[] = {359, 383, 423};
    *ret_decimals = gy_rng_below(r, 20) == 0 ? 2 : 1;
    double tenths = between(r, low[band], high[band]);
    if (*ret_decimals == 1) {
        return tenths / 10;
    }
    double hundredths = tenths * 10 + between(r, 0, 9);
    double most = high[band] * 10;
    return (hundredths > most ? most : hundredths) / 100;
}

/* The vital signs of the elderly. Within the normal band Temp is the lower of two draws, HR mostly
 * that of a heart held down, and Resp the higher of two: shapes that no offset of the adults'
 * makes. */
static void elderly_vitals(struct patient *p, struct gy_rng *r, const struct combination *c)
{
    p->value[C_TEMP] = temperature(r, c->temp, &p->decimals[C_TEMP]);
    if (c->temp == NORMAL) {
        int decimals;
        double other = temperature(r, NORMAL, &decimals);
        p->decimals[C_TEMP] = other < p->value[C_TEMP] ? decimals : p->decimals[C_TEMP];
        p->value[C_TEMP] = other < p->value[C_TEMP] ? other : p->value[C_TEMP];
    }
    if (c->hr == HIGH) {
        p->value[C_HR] = between(r, 91, 140);
    } else {
        p->value[C_HR] = gy_rng_below(r, 12) == 0 ? between(r, 60, 90) : between(r, 42, 60);
    }
    if (c->resp == HIGH) {
        p->value[C_RESP] = between(r, 21, 35);
    } else {
        p->value[C_RESP] = fmax(between(r, 12, 20), between(r, 12, 20));
    }
}

static enum band blood_count(struct gy_rng *r, const struct combination *c, bool septic)
{
    int markers = (c->temp != NORMAL) + (c->hr != NORMAL) + (c->resp != NORMAL);
    uint64_t dice = gy_rng_below(r, 30);
    if (septic ? markers == 1 : (markers == 0 && dice < 3)) {
        return dice % 3 == 0 ? LOW : HIGH; /* the marker that decides; or the only one */
    }
    if (septic && dice < 9) {
        return dice % 3 == 0 ? LOW : HIGH;
    }
    return NORMAL;
}

static const struct combination *pick(struct gy_rng *r, const struct combination *table, size_t n)
{
    int total = 0;
    for (size_t i = 0; i < n; i++) {
        total += table[i].weight;
    }
    int at = (int)gy_rng_below(r, (uint64_t)total);
    size_t i = 0;
    while (at >= table[i].weight) {
        at -= table[i++].weight;
    }
    return &table[i];
}

static double bounded(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* Whole numbers; one in 12 has a half (the mean of two measurements). */
static void measure(struct patient *p, enum column c, struct gy_rng *r, double value, double low,
                    double high)
{
    double half = gy_rng_below(r, 12) == 0 ? 0.5 : 0;
    p->value[c] = bounded(floor(value) + half, low, high);
    p->decimals[c] = p->value[c] == floor(p->value[c]) ? 0 : 1;
}

/* Means, spreads and gaps of the real file's other columns. */
static void other_columns(struct patient *p, struct gy_rng *r, bool septic)
{
    measure(p, C_O2SAT, r, 100 - 3.2 * fabs(gy_rng_normal(r)), 27, 100);
    double shared = gy_rng_normal(r);
    measure(p, C_SBP, r, 122.6 + 23.1 * (0.8 * shared + 0.6 * gy_rng_normal(r)), 32, 281);
    measure(p, C_MAP, r, 82.3 + 16.9 * (0.9 * shared + 0.436 * gy_rng_normal(r)), 20, 281);
    measure(p, C_DBP, r, 63.8 + 14.1 * (0.8 * shared + 0.6 * gy_rng_normal(r)), 22, 281);
    measure(p, C_ETCO2, r, 32.4 + 7.9 * gy_rng_normal(r), 10, 97);
    if (gy_rng_below(r, 36302) < 1566) {
        p->value[C_O2SAT] = NAN;
    }
    /* Which of SBP, MAP, DBP are there, per 36,302 records. */
    uint64_t dice = gy_rng_below(r, 36302);
    bool no_dbp = dice < 6624 + 1105 + 579 + 77;
    bool no_sbp = dice >= 6624 && dice < 6624 + 1105 + 579;
    bool no_map = (dice >= 6624 && dice < 6624 + 1105) ||
                  (dice >= 6624 + 1105 + 579 && dice < 6624 + 1105 + 579 + 77 + 274);
    p->value[C_DBP] = no_dbp ? NAN : p->value[C_DBP];
    p->value[C_SBP] = no_sbp ? NAN : p->value[C_SBP];
    p->value[C_MAP] = no_map ? NAN : p->value[C_MAP];
    if (gy_rng_below(r, 1000) >= (septic ? 128 : 38)) {
        p->value[C_ETCO2] = NAN;
    }
}

/* A stream of its own, so that all else stays the same. */
static bool is_mislabelled(const struct gy_synth_options *o, int64_t id)
{
    struct gy_rng r;
    if (o->mislabel <= 0) {
        return false;
    }
    gy_rng_init_stream(&r, o->seed + 1, (uint64_t)id);
    return gy_rng_f64(&r) < o->mislabel;
}

static void make_patient(struct generator *g, int64_t id, bool septic, struct patient *p)
{
    struct gy_rng *r = &g->rng;
    *p = (struct patient){0};
    const struct mix *mix = &MIXES[g->o->population];
    const struct combination *c =
        septic ? pick(r, mix->septic, mix->n_septic) : pick(r, mix->healthy, mix->n_healthy);
    enum band wbc = blood_count(r, c, septic);
    static const int wbc_low[] = {29, 40, 121}, wbc_high[] = {39, 120, 300};
    p->value[C_ID] = (double)id;
    p->value[C_DATE] = NAN;
    p->value[C_TIME] = NAN;
    if (g->o->population == GY_ELDERLY) {
        elderly_vitals(p, r, c);
    } else {
        p->value[C_HR] = c->hr == HIGH ? between(r, 91, 250) : between(r, 60, 90);
        p->value[C_TEMP] = temperature(r, c->temp, &p->decimals[C_TEMP]);
        p->value[C_RESP] = c->resp == HIGH ? between(r, 21, 35) : between(r, 12, 20);
    }
    p->value[C_WBC] = between(r, wbc_low[wbc], wbc_high[wbc]) / 10;
    p->decimals[C_WBC] = 1;
    p->value[C_LABEL] = septic && !is_mislabelled(g->o, id) ? 1 : 0;
    other_columns(p, r, septic);
    for (int i = 0; i < N_COLUMNS; i++) {
        if (g->drifts[i] && !isnan(p->value[i])) {
            double scale = IS_INT[i] ? 1 : 100;
            p->value[i] = round((p->value[i] * g->times[i] + g->add[i]) * scale) / scale;
            p->decimals[i] = IS_INT[i] ? 0 : 2;
        }
    }
}

static bool is_written(const struct gy_synth_options *o, int column)
{
    return (column != C_WBC || o->wbc) && (column != C_LABEL || o->labelled);
}

static void write_patient(struct generator *g, const struct patient *p)
{
    gy_buf_reset(&g->line);
    for (int i = 0; i < N_COLUMNS; i++) {
        if (!is_written(g->o, i)) {
            continue;
        }
        if (i) {
            gy_buf_add_char(&g->line, ',');
        }
        if (!isnan(p->value[i])) {
            gy_buf_addf(&g->line, "%.*f", p->decimals[i], p->value[i]);
        } else if (i != C_DATE && i != C_TIME) {
            gy_buf_addc(&g->line, "NaN");
        }
    }
}

static gy_status read_drifts(struct generator *g, struct gy_err *err)
{
    for (int i = 0; i < N_COLUMNS; i++) {
        g->times[i] = 1;
    }
    for (size_t k = 0; k < g->o->n_drifts; k++) {
        const struct gy_synth_drift *d = &g->o->drifts[k];
        int column = C_HR;
        while (column <= C_WBC && !gy_str_eqc(d->column, NAMES[column])) {
            column++;
        }
        if (column > C_WBC) {
            (void)gy_err_set(err, GY_E_INVALID, "no column '%" GY_STR_F "' can drift",
                             GY_STR_A(d->column));
            (void)gy_err_hint(err, "HR, O2Sat, Temp, SBP, MAP, DBP, Resp, EtCO2 or WBC");
            return GY_E_INVALID;
        }
        g->drifts[column] = true;
        if (d->multiply) {
            g->times[column] *= d->amount;
            g->add[column] *= d->amount;
        } else {
            g->add[column] += d->amount;
        }
    }
    return GY_OK;
}

static gy_status make_all(struct generator *g, struct gy_corruptor *sink, int64_t positives,
                          struct gy_err *err)
{
    int64_t left = positives;
    for (int64_t i = 0; i < g->o->rows; i++) {
        /* Selection sampling (Knuth, volume 2, 3.4.2, algorithm S): exactly that many, any order.
         */
        bool septic = (int64_t)gy_rng_below(&g->rng, (uint64_t)(g->o->rows - i)) < left;
        left -= septic ? 1 : 0;
        struct patient p;
        make_patient(g, g->o->first_id + i, septic, &p);
        write_patient(g, &p);
        GY_TRY(gy_buf_check(&g->line, "a made record", err));
        GY_TRY(gy_corruptor_add(sink, gy_buf_str(&g->line), true, err));
    }
    return GY_OK;
}

static gy_status run(struct generator *g, struct gy_synth_result *ret, struct gy_err *err)
{
    const struct gy_synth_options *o = g->o;
    GY_TRY(read_drifts(g, err));
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_TRY(gy_schema_parse(gy_str_c(GY_SYNTH_PATIENTS_SCHEMA), "patients", &schema, err));
    char header[256] = {0};
    size_t n = 0;
    for (int i = 0; i < N_COLUMNS; i++) {
        if (is_written(o, i)) {
            n += (size_t)snprintf(header + n, sizeof header - n, "%s%s", i ? "," : "", NAMES[i]);
        }
    }
    struct gy_corruptor_options make = {.out = o->out,
                                        .ledger = o->ledger,
                                        .schema = schema,
                                        .header = gy_str_n(header, n),
                                        .delimiter = ',',
                                        .rows = o->rows,
                                        .bad = o->bad,
                                        .fresh_id = o->first_id + o->rows,
                                        .seed = o->seed};
    GY_AUTO(gy_corruptor_free) struct gy_corruptor *sink = NULL;
    GY_TRY(gy_corruptor_new(&make, &sink, err));
    ret->positives = llround((double)o->rows * o->positive);
    GY_TRY(make_all(g, sink, ret->positives, err));
    return gy_corruptor_commit(sink, ret, err);
}

gy_status gy_synth_patients(const struct gy_synth_options *o, struct gy_synth_result *ret,
                            struct gy_err *err)
{
    *ret = (struct gy_synth_result){0};
    if (o->rows < 0 || o->rows > GY_SYNTH_MAX_ROWS) {
        return gy_err_set(err, GY_E_INVALID, "rows: 0 to %lld", (long long)GY_SYNTH_MAX_ROWS);
    }
    if (o->first_id < 0 || o->first_id > GY_SYNTH_MAX_FIRST_ID) {
        return gy_err_set(err, GY_E_INVALID, "the first patient_id: 0 to %lld",
                          (long long)GY_SYNTH_MAX_FIRST_ID);
    }
    if (!(o->positive >= 0 && o->positive <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "the share of septic patients is between 0 and 1");
    }
    if (!(o->mislabel >= 0 && o->mislabel <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "the share of wrong labels is between 0 and 1");
    }
    struct generator g = {.o = o};
    gy_rng_init_stream(&g.rng, o->seed, 0);
    gy_buf_init(&g.line, 4 * GY_KIB);
    gy_status status = run(&g, ret, err);
    gy_buf_done(&g.line);
    return status;
}
