/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up data of three cases for which there is no file that could be shipped. The shapes are
 * those of public tables; every row is made up. Same options, same bytes. transactions  card
 * payments: Time, V1..V28, Amount, Class; about one in 580 is a fraud (reference system 001 has 492
 * in 284,807). Frauds come in three patterns that lie in some of the V, and one in six looks like
 * any other payment, so no model finds all. claims        policies.csv: a car's policy a row, with
 * its exposure in years and its claims; accidents.csv: accidents that were reported, by area and
 * time. The danger of an area wanders over the years and drives both, so past accidents near a
 * policy say something about its claims that the policy itself does not. compounds compounds.json
 * and images/ID.png, 300 x 300: molecules drawn as lines, to count the rings of; several turned
 * views of each molecule, which must not be divided between training and measuring. */
#ifndef GY_DATA_SYNTH_CASES_H
#define GY_DATA_SYNTH_CASES_H

#include "data/synth.h"

#define GY_SYNTH_TRANSACTIONS 284807
#define GY_SYNTH_CLAIMS 40000
#define GY_SYNTH_COMPOUNDS 400
#define GY_SYNTH_VIEWS 4 /* pictures of a molecule */

/* out: the CSV file. ret->positives: frauds. Fails: INVALID (rows), IO, NOSPACE, DENIED, NOMEM. */
GY_CHECKED gy_status gy_synth_transactions(int64_t rows, uint64_t seed, const char *out,
                                           struct gy_synth_result *ret, struct gy_err *err);
/* folder: made when absent; gets both files. ret->rows: policies; positives: those with a claim. */
GY_CHECKED gy_status gy_synth_claims(int64_t rows, uint64_t seed, const char *folder,
                                     struct gy_synth_result *ret, struct gy_err *err);
/* molecules x GY_SYNTH_VIEWS pictures. bad: so many further records that are not good: by turns a
 * picture that is not there and a missing compound_id. */
GY_CHECKED gy_status gy_synth_compounds(int64_t molecules, int64_t bad, uint64_t seed,
                                        const char *folder, struct gy_synth_result *ret,
                                        struct gy_err *err);

#endif
