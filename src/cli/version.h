/* SPDX-License-Identifier: Apache-2.0 */
/* The version of this program; the build passes it from meson.build. */
#ifndef GY_CLI_VERSION_H
#define GY_CLI_VERSION_H

#ifndef GY_VERSION
#define GY_VERSION "0.1.0"
#endif

#endif
