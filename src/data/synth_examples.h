/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up rows in the shape of three well-known public tables, for where those are not at hand: the
 * columns, the ranges and what depends on what are theirs, no row is. Same seed, same bytes, on
 * every machine.
 *   cars    Auto MPG: mpg,cyl,dpl,hp,wght,acc,year,org,name. Gallons a mile grow with the weight
 * and shrink by 2.5 % a model year; every 80th hp is '?'. iris    Fisher's species: normal with the
 * published means and covariances, 50 of each. bikes   UCI Bike Sharing, hourly, the months of 2011
 * as files bikes_2011_MM.csv: seasons, a weather that lasts for days, commuters and idlers, and a
 * demand that grows all year. */
#ifndef GY_DATA_SYNTH_EXAMPLES_H
#define GY_DATA_SYNTH_EXAMPLES_H

#include "data/synth.h"

#define GY_SYNTH_CARS 397
#define GY_SYNTH_IRIS 150

/* out: the CSV file to write. Fails: INVALID (rows), IO, NOSPACE, DENIED, NOMEM. */
GY_CHECKED gy_status gy_synth_cars(int64_t rows, uint64_t seed, const char *out,
                                   struct gy_synth_result *ret, struct gy_err *err);
GY_CHECKED gy_status gy_synth_iris(int64_t rows, uint64_t seed, const char *out,
                                   struct gy_synth_result *ret, struct gy_err *err);
/* folder: where the twelve files go; made when absent. Fails: IO, NOSPACE, DENIED, NOMEM. */
GY_CHECKED gy_status gy_synth_bikes(uint64_t seed, const char *folder, struct gy_synth_result *ret,
                                    struct gy_err *err);

#endif
